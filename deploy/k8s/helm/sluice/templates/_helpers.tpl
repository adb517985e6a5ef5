{{- define "sluice.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "sluice.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "sluice.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "sluice.selector" -}}
app.kubernetes.io/name: {{ include "sluice.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sluice.labels" -}}
{{ include "sluice.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: broker
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "sluice.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "sluice.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Pods that there may be. */}}
{{- define "sluice.podCount" -}}
{{- if .Values.autoscaling.enabled }}{{ .Values.autoscaling.maxReplicas }}{{ else }}{{ .Values.replicaCount }}{{ end -}}
{{- end -}}

{{/* Headless service: POD.THIS.NAMESPACE.svc is a node, for the other nodes and for clients in the cluster. */}}
{{- define "sluice.headless" -}}
{{ include "sluice.fullname" . }}-nodes
{{- end -}}

{{- define "sluice.domain" -}}
{{ include "sluice.headless" . }}.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}
{{- end -}}

{{/* The same for a pod's environment, whatever namespace it was put into. */}}
{{- define "sluice.podDomain" -}}
{{ include "sluice.headless" . }}.$(POD_NAMESPACE).svc.{{ .Values.clusterDomain }}
{{- end -}}

{{- define "sluice.serverSecret" -}}
{{- if eq .Values.tls.mode "secret" -}}
{{- required "tls.secrets.server names the Secret with the certificate that clients see" .Values.tls.secrets.server -}}
{{- else -}}
{{ include "sluice.fullname" . }}-server
{{- end -}}
{{- end -}}

{{- define "sluice.peerSecret" -}}
{{- if eq .Values.tls.mode "secret" -}}
{{- required "tls.secrets.peer names the Secret with the certificates of the nodes" .Values.tls.secrets.peer -}}
{{- else -}}
{{ include "sluice.fullname" . }}-peer
{{- end -}}
{{- end -}}

{{- define "sluice.issuer" -}}
{{- $own := printf "%s-authority" (include "sluice.fullname" .) -}}
name: {{ default $own .Values.tls.certManager.issuer.name }}
kind: {{ .Values.tls.certManager.issuer.kind }}
group: {{ .Values.tls.certManager.issuer.group }}
{{- end -}}

{{- define "sluice.adminTokenSecret" -}}
{{- default (printf "%s-admin" (include "sluice.fullname" .)) .Values.auth.adminTokenSecret -}}
{{- end -}}

{{/* Where clients are told to go: an address of this pod. Kubernetes puts the variables in. */}}
{{- define "sluice.advertise" -}}
{{- if eq .Values.external.type "LoadBalancer" -}}
{{- printf "%s:%v" (include "sluice.externalHost" .) .Values.external.port -}}
{{- else if eq .Values.external.type "hostPort" -}}
{{- printf "$(HOST_IP):%v" .Values.external.port -}}
{{- else if eq .Values.external.type "NodePort" -}}
{{/* The number of the pod is added at the start. */}}
{{- printf "$(HOST_IP):%v" .Values.external.nodePort -}}
{{- else -}}
{{- printf "$(POD_NAME).%s:7450" (include "sluice.podDomain" .) -}}
{{- end -}}
{{- end -}}

{{- define "sluice.externalHost" -}}
{{- $host := required "external.hostTemplate says what clients call each node" .Values.external.hostTemplate -}}
{{- $host | replace "{pod}" "$(POD_NAME)" | replace "{index}" "$(POD_INDEX)" -}}
{{- end -}}

{{/* Where the other nodes reach this pod. */}}
{{- define "sluice.peerAdvertise" -}}
{{- if and (eq .Values.external.type "LoadBalancer") .Values.external.peers -}}
{{ include "sluice.externalHost" . }}:7452
{{- else -}}
$(POD_NAME).{{ include "sluice.podDomain" . }}:7452
{{- end -}}
{{- end -}}
