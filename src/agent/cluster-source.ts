/** The cluster that an agent follows: manifests, a kubeconfig, or the one that it runs in. Only what is followed is loaded. */
import type { ClusterSource } from '../cluster/state.ts';
import { ConfigError } from '../config/config-error.ts';
import type { Config } from '../config/schema.ts';
import type { ClusterAccess } from '../kube/cluster-access.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { systemClock } from '../telemetry/system-clock.ts';
import { sluiceVersion } from '../telemetry/version.ts';
import type { ObjectReporter, RepairReporter } from './agent.ts';

export interface SourceSettings {
  readonly config: Config;
  readonly nodeName: string;
  /** What kubelet tells a pod of its cluster. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Whether nothing is in the kernel that a wrong start could open. */
  readonly isFreshNode: () => Promise<boolean>;
}

export interface OpenedSource {
  readonly source: ClusterSource;
  /** Absent where objects are files: there is nowhere to tell it. */
  readonly reporter?: ObjectReporter;
  readonly repairs?: RepairReporter;
  /** `manifests /etc/sluice`, `cluster https://10.96.0.1:443` */
  readonly name: string;
}

/** Loads what `openSource` needs, which takes a while and has time while others are asked. */
export function beginLoading({ manifests }: Config): void {
  const loading: Promise<unknown> = manifests === undefined ? loadForCluster() : loadForManifests();
  // Whoever opens the source is told.
  loading.catch(() => undefined);
}

const loadForManifests = () => Promise.all([import('../manifests/source.ts'), import('../manifests/defaults.ts')]);

const loadForCluster = () =>
  Promise.all([
    import('../kube/kube-client.ts'),
    import('../kube/source.ts'),
    import('../kube/event-recorder.ts'),
    import('../kube/repair-recorder.ts'),
  ]);

/** Rejects with ConfigError or KubeConfigError where there is nothing to follow. */
export async function openSource(settings: SourceSettings): Promise<OpenedSource> {
  const { manifests } = settings.config;
  return manifests === undefined ? openCluster(settings) : openManifests(manifests, settings);
}

async function openManifests(directory: string, { config, isFreshNode }: SourceSettings): Promise<OpenedSource> {
  const [{ ManifestSource }, { clusterDefaults }] = await loadForManifests();
  const defaults = clusterDefaults({ ipFamilies: config.ipFamilies });
  const source = new ManifestSource(directory, defaults, { mayBeginIncomplete: isFreshNode });
  return { source, name: `manifests ${directory}` };
}

async function openCluster(settings: SourceSettings): Promise<OpenedSource> {
  const { config, nodeName, environment, logger, metrics } = settings;
  const [access, [{ KubeClient }, { KubeSource }, { EventRecorder }, { RepairRecorder }]] = await Promise.all([
    accessTo(config, environment),
    loadForCluster(),
  ]);
  const client = new KubeClient({ access, userAgent: `sluice/${sluiceVersion()}` });
  const source = new KubeSource({
    client,
    nodeName,
    clock: systemClock,
    count: (what, { kind }) => metrics.sourceRequests[what].inc({ kind }),
  });
  const tell = { client, nodeName, clock: systemClock, now: () => new Date(), logger };
  const [reporter, repairs] = [new EventRecorder(tell), new RepairRecorder(tell)];
  return { source, reporter, repairs, name: `cluster ${client.server}` };
}

async function accessTo(config: Config, environment: SourceSettings['environment']): Promise<ClusterAccess> {
  if (config.kubeconfig !== undefined) {
    const { kubeconfigAccess } = await import('../kube/kubeconfig.ts');
    return kubeconfigAccess(config.kubeconfig);
  }
  const { inClusterAccess } = await import('../kube/in-cluster.ts');
  const access = inClusterAccess(environment);
  if (access !== undefined) return access;
  throw new ConfigError([
    'no cluster to follow: give --kubeconfig FILE or --manifests DIR, or run in a pod of a cluster',
  ]);
}
