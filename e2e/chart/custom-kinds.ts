/** The Prometheus Operator's kinds, as far as an API server must know them to take an object of them. */

const kinds = [
  { plural: 'podmonitors', kind: 'PodMonitor' },
  { plural: 'prometheusrules', kind: 'PrometheusRule' },
] as const;

const group = 'monitoring.coreos.com';

/** For `kubectl apply`. */
export const monitoringKinds: string = JSON.stringify({
  apiVersion: 'v1',
  kind: 'List',
  items: kinds.map(({ plural, kind }) => ({
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { plural, kind, singular: kind.toLowerCase() },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
        },
      ],
    },
  })),
});
