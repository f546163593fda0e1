"""NinjaOne Connect from the AWS CDK: the published template, whose address `make publish` prints, as a nested stack."""

from aws_cdk import App, CfnOutput, CfnStack, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam

app = App()
stack = Stack(app, "Product")

connect = CfnStack(
    stack,
    "NinjaOneConnect",
    template_url=app.node.get_context("template_url"),  # cdk deploy --context template_url=https://…
    parameters={
        "ProductName": "Example PSA",
        "ReturnUrls": "main=https://app.example.com/ninjaone/return",
        "AlarmEmail": "operations@example.com",
    },
)
connect.apply_removal_policy(RemovalPolicy.RETAIN)  # its table holds your customers' connections

# What your backend calls, and what its role must be allowed.
CfnOutput(stack, "BackendApiUrl", value=connect.get_att("Outputs.BackendApiUrl").to_string())
backend = iam.Role(stack, "Backend", assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"))
backend.add_to_policy(
    iam.PolicyStatement(
        actions=["execute-api:Invoke"], resources=[connect.get_att("Outputs.BackendPermission").to_string()]
    )
)

app.synth()
