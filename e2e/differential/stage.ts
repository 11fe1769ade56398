/** Everything that is there for all clusters of a run: the control plane, the two worlds of each wiring, their servers. */
import { join } from 'node:path';
import type { PodServers } from '../../src/lab/servers.ts';
import { buildAll } from '../build/build.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { startControlPlane } from '../cluster/control-plane.ts';
import type { Estate } from '../cluster/estate.ts';
import { openEstate } from '../cluster/estate.ts';
import { ApiClient } from './api-client.ts';
import { apiAddress, joinApiNetwork, makeApiNetwork } from './api-network.ts';
import { putSurroundings } from './cluster-objects.ts';
import type { Pair } from './compare-outcomes.ts';
import type { Configuration } from './configurations.ts';
import { Nodes } from './nodes.ts';
import { openServers } from './packets.ts';
import { serviceCidrs } from './topology.ts';
import type { PodWiring } from './world.ts';
import { World } from './world.ts';

export class Stage {
  readonly api: ApiClient;
  readonly estate: Estate;
  readonly #plane: ControlPlane;
  readonly #prefix: string;
  readonly #worlds = new Map<PodWiring, Pair<World>>();
  readonly #servers: PodServers[] = [];
  #hosts = 1;

  private constructor(estate: Estate, plane: ControlPlane, prefix: string) {
    this.estate = estate;
    this.#plane = plane;
    this.#prefix = prefix;
    const { url, authority, token, netns = '' } = plane;
    this.api = new ApiClient(netns, { url, caFile: authority.certificate, token });
  }

  /** `progress` is told what is built, where it is not there yet. */
  static async up(progress: (line: string) => void): Promise<Stage> {
    await buildAll(['etcd', 'kube-apiserver', 'kubectl', 'kube-proxy'], progress);
    const prefix = `sdf${process.pid}`;
    const estate = await openEstate(prefix);
    try {
      const plane = await startControlPlane({
        directory: join(estate.folder, 'control-plane'),
        netns: await makeApiNetwork(estate, prefix),
        address: apiAddress,
        estate,
        serviceCidr: serviceCidrs.join(','),
        progress,
      });
      const stage = new Stage(estate, plane, prefix);
      await putSurroundings(stage.api);
      return stage;
    } catch (error) {
      await estate.clear();
      throw error;
    }
  }

  /** Both proxies started, in the worlds of their wiring. */
  async nodes(configuration: Configuration, sluiceFlags: readonly string[] = []): Promise<Nodes> {
    const worlds = this.#worlds.get(configuration.wiring) ?? (await this.#makeWorlds(configuration.wiring));
    const { tokenKubeconfig: kubeconfig } = this.#plane;
    return Nodes.up({ estate: this.estate, worlds, configuration, kubeconfig }, sluiceFlags);
  }

  async down(): Promise<void> {
    this.api.close();
    for (const servers of this.#servers) servers.closeAll();
    await this.estate.clear();
  }

  async #makeWorlds(wiring: PodWiring): Promise<Pair<World>> {
    const worlds = {
      kubeProxy: await this.#makeWorld(`${this.#prefix}k${wiring}`, wiring),
      sluice: await this.#makeWorld(`${this.#prefix}s${wiring}`, wiring),
    };
    this.#worlds.set(wiring, worlds);
    return worlds;
  }

  async #makeWorld(prefix: string, wiring: PodWiring): Promise<World> {
    const world = await World.up(this.estate, prefix, wiring);
    this.#hosts += 1;
    await joinApiNetwork(`${this.#prefix}-api`, world.node, this.#hosts);
    this.#servers.push(await openServers(world, join(this.estate.folder, 'compile-cache')));
    return world;
  }
}
