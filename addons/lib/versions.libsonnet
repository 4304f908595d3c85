// In which API versions a Kubernetes minor serves what addons need.
// Source: the API migration guide (https://kubernetes.io/docs/reference/using-api/deprecation-guide/).
local atLeast(minor, second) = minor[0] > 1 || minor[1] >= second;
{
  atLeast:: atLeast,
  cronJob(minor):: if atLeast(minor, 21) then 'batch/v1' else 'batch/v1beta1',
  podDisruptionBudget(minor):: if atLeast(minor, 21) then 'policy/v1' else 'policy/v1beta1',
}
