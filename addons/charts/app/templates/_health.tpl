{{/* What all three probes ask. */}}
{{- define "app.asked" -}}
{{- $health := .Values.health -}}
{{- $port := int64 (default .Values.service.targetPort $health.port) -}}
{{- if eq $health.kind "http" -}}
httpGet:
  path: {{ $health.path | quote }}
  port: {{ $port }}
  scheme: HTTP
{{- else if eq $health.kind "exec" -}}
exec:
  command:
    {{- include "app.words" $health.command | nindent 4 }}
{{- else -}}
tcpSocket:
  port: {{ $port }}
{{- end }}
periodSeconds: {{ int64 $health.periodSeconds }}
timeoutSeconds: {{ int64 $health.timeoutSeconds }}
{{- end }}

{{/* The two other probes wait for the first: a slow start is no failing service. A pod that does not answer gets no
     requests long before it is started anew, which helps only where it is stuck. */}}
{{- define "app.probes" -}}
startupProbe:
  {{- include "app.asked" . | nindent 2 }}
  initialDelaySeconds: {{ int64 .Values.health.initialDelaySeconds }}
  failureThreshold: {{ max 1 (divf .Values.health.startSeconds .Values.health.periodSeconds | ceil | int64) }}
readinessProbe:
  {{- include "app.asked" . | nindent 2 }}
  failureThreshold: 3
livenessProbe:
  {{- include "app.asked" . | nindent 2 }}
  failureThreshold: 6
{{- end }}
