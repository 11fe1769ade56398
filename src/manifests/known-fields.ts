/** Fields of the API that are read over; a field that is in no list is probably a typo and gets a warning. */

export const podSpecFields: readonly string[] =
  `activeDeadlineSeconds affinity automountServiceAccountToken containers dnsConfig dnsPolicy enableServiceLinks
  ephemeralContainers hostAliases hostIPC hostNetwork hostPID hostUsers hostname hostnameOverride imagePullSecrets
  initContainers nodeName nodeSelector os overhead preemptionPolicy priority priorityClassName readinessGates
  resourceClaims resources restartPolicy runtimeClassName schedulerName schedulingGates securityContext serviceAccount
  serviceAccountName setHostnameAsFQDN shareProcessNamespace subdomain terminationGracePeriodSeconds tolerations
  topologySpreadConstraints volumes workloadRef`.split(/\s+/);

export const containerFields: readonly string[] =
  `args command env envFrom image imagePullPolicy lifecycle livenessProbe name ports readinessProbe resizePolicy resources
  restartPolicy restartPolicyRules securityContext startupProbe stdin stdinOnce terminationMessagePath
  terminationMessagePolicy tty volumeDevices volumeMounts workingDir`.split(/\s+/);

export const serviceSpecFields: readonly string[] =
  `allocateLoadBalancerNodePorts clusterIP clusterIPs externalIPs externalName externalTrafficPolicy healthCheckNodePort
  internalTrafficPolicy ipFamilies ipFamilyPolicy loadBalancerClass loadBalancerIP loadBalancerSourceRanges ports
  publishNotReadyAddresses selector sessionAffinity sessionAffinityConfig trafficDistribution type`.split(/\s+/);

export const nodeSpecFields: readonly string[] =
  'configSource externalID podCIDR podCIDRs providerID taints unschedulable'.split(' ');

export const endpointFields: readonly string[] =
  'addresses conditions deprecatedTopology hints hostname nodeName targetRef zone'.split(' ');
