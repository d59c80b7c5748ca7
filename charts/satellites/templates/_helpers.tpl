{{- define "satellites.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 50 characters, so that the suffixes below keep names within 63. */}}
{{- define "satellites.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "satellites.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Names of cluster-scoped objects hold the namespace: two releases of one name in two namespaces may exist. */}}
{{- define "satellites.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "satellites.fullname" .) -}}
{{- end -}}

{{- define "satellites.selectorLabels" -}}
app.kubernetes.io/name: {{ include "satellites.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "satellites.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "satellites.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: satellites
{{- end -}}

{{- define "satellites.serviceAccountName" -}}
{{- default (include "satellites.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "satellites.routerServiceAccountName" -}}
{{- if eq .Values.router.mode "sidecar" -}}
{{- include "satellites.serviceAccountName" . -}}
{{- else -}}
{{- default (printf "%s-router" (include "satellites.fullname" .)) .Values.router.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Component whose pods hold the router. */}}
{{- define "satellites.routerComponent" -}}
{{- ternary "operator" "router" (eq .Values.router.mode "sidecar") -}}
{{- end -}}

{{/* "true" where the router listens beyond its pod. */}}
{{- define "satellites.routerExposed" -}}
{{- if ne .Values.router.access.mode "loopback" -}}true{{- end -}}
{{- end -}}

{{/* Name of the Secret with the router's certificate; empty without TLS. */}}
{{- define "satellites.routerTlsSecret" -}}
{{- $own := ternary (printf "%s-router-tls" (include "satellites.fullname" .)) "" .Values.router.tls.certificate.enabled -}}
{{- default $own .Values.router.tls.secretName -}}
{{- end -}}

{{/* Fails where values contradict each other in a way that the router would refuse at its start. */}}
{{- define "satellites.checkAccess" -}}
{{- $tls := include "satellites.routerTlsSecret" . -}}
{{- with .Values.router -}}
{{- if and (eq .access.mode "kubernetes") (not $tls) (not .access.insecureCleartext) -}}
{{- fail "router.access.mode kubernetes needs router.tls.secretName, or router.tls.certificate, since callers send their tokens; where something else protects the way, such as a service mesh, set router.access.insecureCleartext" -}}
{{- end -}}
{{- if and .access.oidc (ne .access.mode "kubernetes") -}}
{{- fail "router.access.oidc needs router.access.mode kubernetes: nobody else looks at tokens" -}}
{{- end -}}
{{- if and .tls.clientCA (or (not $tls) (ne .access.mode "kubernetes")) -}}
{{- fail "router.tls.clientCA needs router.tls.secretName, and router.access.mode kubernetes: nobody else looks at certificates of clients" -}}
{{- end -}}
{{- if and .tls.certificate.enabled (not .tls.certificate.issuerRef.name) -}}
{{- fail "router.tls.certificate needs issuerRef.name: the Issuer or ClusterIssuer of cert-manager that signs it" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "satellites.image" -}}
{{- $repository := required "image.repository is required: the registry and repository that the image was pushed to, as in --set image.repository=REGISTRY/satellites (docs/container-image.md says how to build it)" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Names and UID are what the "restricted" Pod Security Standard asks for; nothing is written to disk. */}}
{{- define "satellites.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "satellites.podName" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- end -}}

{{/* Probes of a program; takes the port's name. The start may wait for the API server. */}}
{{- define "satellites.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: {{ . }}}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: {{ . }}}
  periodSeconds: 20
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: {{ . }}}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
{{- end -}}

{{/* What every operator's objects are called after; takes (dict "context" $ "shard" name), where the name is empty for the first one. */}}
{{- define "satellites.operatorName" -}}
{{- include "satellites.fullname" .context }}{{ with .shard }}-shard-{{ . }}{{ end -}}
{{- end -}}

{{/* Labels that tell an operator's pods from all others; takes the same. */}}
{{- define "satellites.operatorLabels" -}}
{{ include "satellites.selectorLabels" .context }}
app.kubernetes.io/component: {{ ternary "operator-shard" "operator" (ne .shard "") }}
{{- with .shard }}
satellites.dev/shard: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* The flag that says in which namespaces an operator acts; empty where it acts in all. Takes the same. */}}
{{- define "satellites.namespaceSelector" -}}
{{- if .shard -}}
--namespace-selector=satellites.dev/shard={{ .shard }}
{{- else if .context.Values.operator.shards -}}
--namespace-selector=satellites.dev/shard notin ({{ join "," .context.Values.operator.shards }})
{{- end -}}
{{- end -}}

{{/* Fails where shards cannot be, and where they change while an operator runs that does not know it: two would act in one namespace. */}}
{{- define "satellites.checkShards" -}}
{{- if and .Values.operator.shards (ne .Values.router.mode "deployment") -}}
{{- fail "operator.shards needs router.mode deployment: operators are scaled to zero when the shards change, and routers must go on meanwhile" -}}
{{- end -}}
{{- if .Release.IsUpgrade -}}
{{- $selector := "" -}}
{{- $running := list -}}
{{- $first := include "satellites.operatorName" (dict "context" . "shard" "") -}}
{{- with lookup "apps/v1" "Deployment" .Release.Namespace $first -}}
{{- range .spec.template.spec.containers -}}
{{- range .args -}}
{{- if hasPrefix "--namespace-selector=" . -}}{{- $selector = . -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (dig "status" "replicas" 0 .) (ne $selector (include "satellites.namespaceSelector" (dict "context" $ "shard" ""))) -}}
{{- $running = append $running $first -}}
{{- end -}}
{{- end -}}
{{- range without (regexFind "\\(.*\\)" $selector | trimAll "()" | splitList ",") "" -}}
{{- $name := include "satellites.operatorName" (dict "context" $ "shard" .) -}}
{{- if and (not (has . $.Values.operator.shards)) (dig "status" "replicas" 0 (lookup "apps/v1" "Deployment" $.Release.Namespace $name)) -}}
{{- $running = append $running $name -}}
{{- end -}}
{{- end -}}
{{- with $running -}}
{{- fail (printf "operator.shards changes while operators run that do not know it; scale them to zero first, and wait until their pods are gone: kubectl -n %s scale --replicas=0 deployment %s" $.Release.Namespace (join " " .)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The operator's container; takes (dict "context" $ "shard" name). */}}
{{- define "satellites.operatorContainer" -}}
{{- $shard := .shard -}}
{{- $name := include "satellites.operatorName" . -}}
{{- $selector := include "satellites.namespaceSelector" . -}}
{{- with .context -}}
name: operator
image: {{ include "satellites.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
  - operator
  - --namespace={{ .Release.Namespace }}
  - --identity=$(POD_NAME)
  - --deployment={{ $name }}
  {{- with $shard }}
  - --shard={{ . }}
  {{- end }}
  {{- with $selector }}
  - {{ . | quote }}
  {{- end }}
  - --health-address={{ .Values.listenHost }}:{{ .Values.operator.healthPort }}
  - --concurrency={{ .Values.operator.concurrency }}
  - --list-period-seconds={{ .Values.operator.listPeriodSeconds }}
  - --lease-seconds={{ .Values.operator.leaseSeconds }}
  {{- with .Values.operator.page }}
  {{- if and .enabled (not $shard) }}
  - --page-address=127.0.0.1:{{ .port }}
  {{- end }}
  {{- end }}
  {{- with .Values.operator.ec2Endpoint }}
  - --ec2-endpoint={{ . }}
  {{- end }}
  - --log-level={{ .Values.log.level }}
  - --log-format={{ .Values.log.format }}
  {{- range .Values.operator.extraArgs }}
  - {{ . | quote }}
  {{- end }}
env:
  {{- include "satellites.podName" . | nindent 2 }}
  {{- with .Values.operator.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.operator.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.operator.volumeMounts }}
volumeMounts:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  - {name: operator, containerPort: {{ .Values.operator.healthPort }}}
{{ include "satellites.probes" "operator" }}
securityContext:
  {{- include "satellites.containerSecurityContext" . | nindent 2 }}
resources:
  {{- toYaml .Values.operator.resources | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* Flags of the OIDC issuers: each one belongs to the --oidc-issuer before it. */}}
{{- define "satellites.oidcFlags" -}}
{{- range $index, $issuer := . }}
- {{ printf "--oidc-issuer=%s" .issuer | quote }}
{{- range .audiences }}
- {{ printf "--oidc-audience=%s" . | quote }}
{{- end }}
{{- range $flag, $value := dict "username-claim" .usernameClaim "username-prefix" .usernamePrefix "groups-claim" .groupsClaim "groups-prefix" .groupsPrefix }}
{{- with $value }}
- {{ printf "--oidc-%s=%s" $flag . | quote }}
{{- end }}
{{- end }}
{{- range $claim, $value := .requiredClaims }}
- {{ printf "--oidc-required-claim=%s=%v" $claim $value | quote }}
{{- end }}
{{- if .caConfigMap }}
- --oidc-ca-file=/oidc/{{ $index }}/ca.crt
{{- end }}
{{- end }}
{{- end -}}

{{/* What the router reads from files, and "more" of the same, as mounts; as volumes when "volumes" is true. "tls" names the certificate's Secret. */}}
{{- define "satellites.routerFiles" -}}
{{- $volumes := .volumes -}}
{{- with .tls }}
{{- if $volumes }}
- {name: tls, secret: {secretName: {{ . }}}}
{{- else }}
- {name: tls, mountPath: /tls, readOnly: true}
{{- end }}
{{- end }}
{{- range $index, $issuer := .router.access.oidc }}
{{- with .caConfigMap }}
{{- if $volumes }}
- {name: oidc-{{ $index }}, configMap: {name: {{ . }}}}
{{- else }}
- {name: oidc-{{ $index }}, mountPath: /oidc/{{ $index }}, readOnly: true}
{{- end }}
{{- end }}
{{- end }}
{{- with .more }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "satellites.routerContainer" -}}
{{- $router := .Values.router -}}
{{- $exposed := include "satellites.routerExposed" . -}}
{{- $tls := include "satellites.routerTlsSecret" . -}}
{{- include "satellites.checkAccess" . -}}
{{- if gt (mul (int (ternary .Values.replicas $router.replicas (eq $router.mode "sidecar"))) (int $router.workers)) 64 -}}
{{- fail "router.workers times the number of pods must not be above 64: status.activity of a Satellite has room for so many routers" -}}
{{- end -}}
name: router
image: {{ include "satellites.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
  - router
  - --listen={{ ternary .Values.listenHost "127.0.0.1" (eq $exposed "true") }}:{{ $router.port }}
  - --health-address={{ .Values.listenHost }}:{{ $router.healthPort }}
  # The admission policy holds a router to the lease that bears its pod's name.
  - --router-id=$(POD_NAME)
  {{- if gt (int $router.workers) 1 }}
  - --workers={{ $router.workers }}
  {{- end }}
  - --grace-seconds={{ $router.graceSeconds }}
  {{- if eq $router.access.mode "insecureAnonymous" }}
  - --insecure-anonymous
  {{- else if eq $router.access.mode "loopback" }}
  # Kubernetes decides who may forward a port to it.
  - --anonymous
  {{- else }}
  {{- range $router.access.audiences }}
  - --token-audience={{ . }}
  {{- end }}
  {{- include "satellites.oidcFlags" $router.access.oidc | nindent 2 }}
  {{- if $router.access.insecureCleartext }}
  - --insecure-cleartext
  {{- end }}
  {{- end }}
  {{- if $tls }}
  - --tls-cert=/tls/tls.crt
  - --tls-key=/tls/tls.key
  {{- if $router.tls.clientCA }}
  - --client-ca=/tls/ca.crt
  {{- end }}
  {{- end }}
  {{- with $router.proxyProtocolFrom }}
  - --proxy-protocol-from={{ join "," . }}
  {{- end }}
  {{- with $router.limits.maxHeldPerIdentity }}
  - --max-held-per-identity={{ . }}
  {{- end }}
  {{- with $router.limits.wakeBurst }}
  - --wake-burst={{ . }}
  {{- end }}
  {{- with $router.limits.wakesPerMinute }}
  - --wakes-per-minute={{ . }}
  {{- end }}
  {{- with $router.watchNamespace }}
  - --watch-namespace={{ . }}
  {{- end }}
  {{- with $router.domain }}
  - --domain={{ . }}
  {{- end }}
  {{- with $router.defaultNamespace }}
  - --default-namespace={{ . }}
  {{- end }}
  {{- with $router.defaultSatellite }}
  - --default-satellite={{ . }}
  {{- end }}
  {{- range $router.wakesNothing }}
  - --wakes-nothing={{ . }}
  {{- end }}
  - --log-level={{ .Values.log.level }}
  - --log-format={{ .Values.log.format }}
  {{- range $router.extraArgs }}
  - {{ . | quote }}
  {{- end }}
env:
  {{- include "satellites.podName" . | nindent 2 }}
  {{- with $router.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $router.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  - {name: grpc, containerPort: {{ $router.port }}}
  - {name: router, containerPort: {{ $router.healthPort }}}
{{- with include "satellites.routerFiles" (dict "router" $router "tls" $tls "volumes" false "more" $router.volumeMounts) | trim }}
volumeMounts:
  {{- . | nindent 2 }}
{{- end }}
{{ include "satellites.probes" "router" }}
{{- if $exposed }}
lifecycle:
  preStop:
    sleep: {seconds: {{ $router.preStopSeconds }}}
{{- end }}
securityContext:
  {{- include "satellites.containerSecurityContext" . | nindent 2 }}
resources:
  {{- toYaml $router.resources | nindent 2 }}
{{- end -}}

{{/* Values for the pods of a component, each its own or else that for all pods, as a JSON object. Takes (dict "context" $ "component" name). */}}
{{- define "satellites.podValues" -}}
{{- $values := dict -}}
{{- range $name := list "podAnnotations" "podLabels" "nodeSelector" "tolerations" "affinity" "priorityClassName" "topologySpreadConstraints" "runtimeClassName" "hostNetwork" "dnsPolicy" "dnsConfig" "volumes" "revisionHistoryLimit" "strategy" "podSecurityContext" -}}
{{- $own := (index $.context.Values $.component).pod -}}
{{- $_ := set $values $name (ternary (get $own $name) (index $.context.Values $name) (hasKey $own $name)) -}}
{{- end -}}
{{- toJson $values -}}
{{- end -}}

{{/*
What the pods of all Deployments share; takes (dict "context" $ "component" name "labels" text "account" name "hasRouter" bool), where
the component is the one whose values they have, and the labels are those that tell them from others.
*/}}
{{- define "satellites.podSpec" -}}
{{- $ := .context -}}
{{- $pod := include "satellites.podValues" (dict "context" $ "component" .component) | fromJson -}}
{{- $tls := ternary (include "satellites.routerTlsSecret" $) "" .hasRouter -}}
serviceAccountName: {{ .account }}
automountServiceAccountToken: true
enableServiceLinks: false
terminationGracePeriodSeconds: {{ ternary (add $.Values.router.graceSeconds $.Values.router.preStopSeconds 30) 30 .hasRouter }}
{{- with $.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $pod.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $volumes := "" }}
{{- if .hasRouter }}
{{- $volumes = include "satellites.routerFiles" (dict "router" $.Values.router "tls" $tls "volumes" true "more" $pod.volumes) | trim }}
{{- else if $pod.volumes }}
{{- $volumes = toYaml $pod.volumes }}
{{- end }}
{{- with $volumes }}
volumes:
  {{- . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- $labels := dict "matchLabels" (fromYaml .labels) }}
  {{- $spread := default (list
        (dict "maxSkew" 1 "topologyKey" "topology.kubernetes.io/zone" "whenUnsatisfiable" "ScheduleAnyway")
        (dict "maxSkew" 1 "topologyKey" "kubernetes.io/hostname" "whenUnsatisfiable" "ScheduleAnyway")
      ) $pod.topologySpreadConstraints }}
  {{- range $spread }}
  - {{ toYaml (merge (dict "labelSelector" $labels "matchLabelKeys" (list "pod-template-hash")) .) | nindent 4 | trim }}
  {{- end }}
{{- range $name := list "nodeSelector" "tolerations" "affinity" "priorityClassName" "runtimeClassName" "dnsConfig" }}
{{- with get $pod $name }}
{{ toYaml (dict $name .) }}
{{- end }}
{{- end }}
{{- if $pod.hostNetwork }}
hostNetwork: true
{{- end }}
{{- with default (ternary "ClusterFirstWithHostNet" "" $pod.hostNetwork) $pod.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- end -}}
