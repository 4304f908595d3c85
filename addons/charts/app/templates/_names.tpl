{{/* The release's name is that of all its objects; quoted, since `true` is a name too. */}}
{{- define "app.name" -}}
{{ .Release.Name | quote }}
{{- end }}

{{/* What selects pods: only what never changes, since a Deployment's selector cannot. */}}
{{- define "app.selector" -}}
app.kubernetes.io/name: {{ include "app.name" . }}
app.kubernetes.io/instance: {{ include "app.name" . }}
{{- end }}

{{- define "app.labels" -}}
{{ include "app.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with include "app.version" . }}
app.kubernetes.io/version: {{ . | quote }}
{{- end }}
{{- end }}

{{/* A tag may be longer than a label, and may end with what a label may not. */}}
{{- define "app.version" -}}
{{ trunc 63 .Values.image.tag | regexFind "^[A-Za-z0-9](.*[A-Za-z0-9])?" }}
{{- end }}

{{- define "app.image" -}}
{{ .Values.image.repository }}
{{- with .Values.image.tag }}:{{ . }}{{ end }}
{{- with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* A text in which Kubernetes finds nothing to replace: it reads $(NAME) as a variable, and $$ as one $. */}}
{{- define "app.verbatim" -}}
{{ replace "$" "$$" . }}
{{- end }}

{{/* A list of words, none of which Kubernetes changes. */}}
{{- define "app.words" -}}
{{- $words := list }}
{{- range . }}
{{- $words = append $words (include "app.verbatim" .) }}
{{- end }}
{{- toYaml $words }}
{{- end }}
