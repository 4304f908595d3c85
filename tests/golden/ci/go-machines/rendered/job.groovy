pipelineJob('go-machines') {
  description('go, vm; from clusters/prod/projects/go-machines.yaml')
  logRotator { numToKeep(50) }
  parameters {
    choiceParam('ENVIRONMENT', ['', 'dev', 'qa', 'pre', 'prd'], 'where to release; asked for where empty')
    stringParam('BRANCH', '', 'branch or tag; that of the project file where empty')
  }
  definition {
    cps {
      script('@Library(\'slipway\') _\n\nslipwayPipeline(\n    project: \'go-machines\',\n    cluster: \'prod\',\n    environment: params.ENVIRONMENT,\n    branch: params.BRANCH,\n    configuration: [url: \'https://git.example.net/ops.git\', branch: \'main\'],\n    approvers: \'release-team\'\n)\n')
      sandbox(true)
    }
  }
}
