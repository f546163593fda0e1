# NinjaOne Connect from Terraform: one stack of the published template, whose address `make publish` prints.
terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = ">= 5.0" }
  }
}

variable "template_url" {
  description = "The address of the published template in your region."
  type        = string
}

resource "aws_cloudformation_stack" "ninjaone_connect" {
  name         = "ninjaone-connect"
  template_url = var.template_url
  capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]

  parameters = {
    ProductName = "Example PSA"
    ReturnUrls  = "main=https://app.example.com/ninjaone/return"
    AlarmEmail  = "operations@example.com"
  }

  lifecycle {
    prevent_destroy = true # its table holds your customers' connections
  }
}

# What your backend calls, and what its role must be allowed.
output "backend_api_url" {
  value = aws_cloudformation_stack.ninjaone_connect.outputs["BackendApiUrl"]
}

resource "aws_iam_role_policy" "backend_connects" {
  name = "ninjaone-connect"
  role = "backend" # the name of your backend's role

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "execute-api:Invoke"
      Resource = aws_cloudformation_stack.ninjaone_connect.outputs["BackendPermission"]
    }]
  })
}
