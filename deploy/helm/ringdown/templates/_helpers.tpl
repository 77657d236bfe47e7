{{- define "ringdown.selector" -}}
app.kubernetes.io/name: ringdown
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "ringdown.labels" -}}
{{ include "ringdown.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "ringdown.image" -}}
{{ required "image.repository: where the image is that you built" .Values.image.repository }}:{{ .Values.image.tag }}
{{- end }}

{{- define "ringdown.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
capabilities: { drop: [ALL] }
seccompProfile: { type: RuntimeDefault }
{{- end }}
