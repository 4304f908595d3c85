{{/* What values.schema.json cannot say: rules between values. All faults are told at once. */}}
{{- define "app.faults" -}}
{{- $values := .Values }}
{{- $faults := list }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" .Release.Name) }}
{{- $faults = append $faults "a Service cannot have the release's name; use small letters, digits and -, a letter first" }}
{{- end }}
{{- if not $values.image.repository }}
{{- $faults = append $faults "image.repository is empty; write the registry and name of the image" }}
{{- end }}
{{- if not (or $values.image.tag $values.image.digest) }}
{{- $faults = append $faults "image has neither tag nor digest; write the tag of the build, or the digest of the push" }}
{{- end }}
{{- if and $values.ingress.enabled (not $values.ingress.host) }}
{{- $faults = append $faults "ingress.host is empty; write the domain, or set ingress.enabled to false" }}
{{- end }}
{{- if $values.autoscaling.enabled }}
{{- if gt (int64 $values.autoscaling.min) (int64 $values.autoscaling.max) }}
{{- $faults = append $faults "autoscaling.min is greater than autoscaling.max; exchange them" }}
{{- end }}
{{- if not (or (dig "requests" "cpu" "" $values.resources) (dig "limits" "cpu" "" $values.resources)) }}
{{- $faults = append $faults "autoscaling.cpuPercent is a share of resources.requests.cpu, which is missing; write it" }}
{{- end }}
{{- end }}
{{- if and (eq $values.health.kind "exec") (not $values.health.command) }}
{{- $faults = append $faults "health.command is empty; write what ends with 0 in a healthy container" }}
{{- end }}
{{- if and $values.config (has "/config" $values.writable) }}
{{- $faults = append $faults "writable names /config, where the files of config are; choose another folder" }}
{{- end }}
{{- if and (lt (int64 $values.service.targetPort) 1024) (semverCompare "<1.22-0" .Capabilities.KubeVersion.Version) }}
{{- $faults = append $faults "service.targetPort below 1024 is for root alone before Kubernetes 1.22; listen on a higher one" }}
{{- end }}
{{- range $faults }}
{{ $.Release.Name }}: {{ . }}
{{- end }}
{{- end }}
