{{- define "sluice.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "sluice.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "sluice.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "sluice.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "sluice.names" -}}
app.kubernetes.io/name: {{ include "sluice.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Of the agents alone: a DaemonSet adopts whatever pod it selects, the pods of a test too. */}}
{{- define "sluice.selector" -}}
{{ include "sluice.names" . }}
app.kubernetes.io/component: agent
{{- end }}

{{- define "sluice.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{ include "sluice.names" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "sluice.serviceAccount" -}}
{{- default (ternary (include "sluice.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{- define "sluice.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* The agent's configuration file, as a dictionary: `config`, and the one alias. */}}
{{- define "sluice.config" -}}
{{- $config := deepCopy .Values.config }}
{{- if .Values.serviceProxy.enabled }}{{ $_ := set $config "serviceProxy" true }}{{ end }}
{{- if and $config.serviceProxy (not .Values.apiServer.host) }}
{{- fail "serviceProxy.enabled needs apiServer.host: without kube-proxy the agent cannot reach the API server by the Service that it has yet to serve" }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{- define "sluice.runDir" -}}
{{- .Values.config.runDir | default "/run/sluice" }}
{{- end }}

{{/* 0 is a value: no port. */}}
{{- define "sluice.httpPort" -}}
{{- if hasKey .Values.config "httpPort" }}{{ .Values.config.httpPort | int }}{{ else }}9840{{ end }}
{{- end }}

{{- define "sluice.probe" -}}
httpGet:
  path: {{ .path }}
  port: {{ include "sluice.httpPort" .root }}
  {{- with .root.Values.config.httpAddress }}
  host: {{ . | quote }}
  {{- end }}
{{- end }}

{{/* What nothing but the agent needs. */}}
{{- define "sluice.unprivileged" -}}
runAsUser: 65534
runAsGroup: 65534
runAsNonRoot: true
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Environment, privilege and mounts of whatever works on the node's kernel. */}}
{{- define "sluice.onNode" -}}
env:
  - name: SLUICE_CONFIG
    value: /etc/sluice/sluice.yaml
  - name: SLUICE_RUN_DIR
    value: {{ include "sluice.runDir" . }}
  - name: SLUICE_NODE_NAME
    valueFrom:
      fieldRef:
        fieldPath: spec.nodeName
  {{- if not .Values.config.httpAddress }}
  # Where kubelet's probes ask: with hostNetwork the pod's address is the node's.
  - name: SLUICE_HTTP_ADDRESS
    valueFrom:
      fieldRef:
        fieldPath: status.hostIP
  {{- end }}
  {{- with .Values.apiServer }}
  {{- if .host }}
  - name: KUBERNETES_SERVICE_HOST
    value: {{ .host | quote }}
  - name: KUBERNETES_SERVICE_PORT
    value: {{ .port | quote }}
  {{- end }}
  {{- end }}
securityContext:
  runAsUser: 0
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
    # Rules, sets, conntrack and links; iptables-legacy's raw socket.
    add: [NET_ADMIN, NET_RAW]
volumeMounts:
  - name: config
    mountPath: /etc/sluice
    readOnly: true
  - name: run
    mountPath: {{ include "sluice.runDir" . }}
  - name: xtables-lock
    mountPath: /run/xtables.lock
  - name: modules
    mountPath: /lib/modules
    readOnly: true
  # Writable, which /proc/sys of a container is not; nothing may be mounted inside /proc.
  - name: proc-sys-net
    mountPath: /host/proc/sys/net
  - name: tmp
    mountPath: /tmp
{{- end }}
