"""template.yaml read as CloudFormation reads it: intrinsics, parameters, and one typed value for each resource."""
