/** What every proxy is put through: the same changes to the same Services. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { EndpointSlice, Service } from '../src/cluster/objects.ts';
import { cpuSecondsOf, residentMegabytes } from './process-costs.ts';
import { endpointAddress, type ServiceSize, serviceAt, sliceAt } from './service-cluster.ts';

/** All times: from the change reaching the proxy to the end of its last write; in milliseconds. */
export interface MeasuredProxy {
  readonly pid: number;
  change(slice: EndpointSlice): Promise<number>;
  add(service: Service, slice: EndpointSlice): Promise<number>;
  remove(service: Service, slice: EndpointSlice): Promise<number>;
  stop(): Promise<void>;
}

/** What a proxy occupies when all is calm. */
export interface Occupied {
  /** Of the process alone, after 22 seconds in which nothing changed. */
  readonly residentMegabytes: number;
  /** The most that it ever had. */
  readonly peakMegabytes: number;
  /** Over the last ten of these seconds. */
  readonly restCpuSeconds: number;
}

export interface ServiceCosts extends Occupied {
  readonly firstSyncSeconds: number;
  /** From the start of the process: of itself and of the programs that it ran. */
  readonly firstSyncCpuSeconds: number;
  readonly changeMs: readonly number[];
  readonly addedMs: readonly number[];
  readonly deletedMs: readonly number[];
  /** Ours with nf_tables alone: what a transaction of one rule takes over the same rules. */
  readonly floorMs?: readonly number[];
}

const pauseMs = 20;
/** The agent collects its garbage when nothing was written for five to ten seconds. */
const calmMs = 12_000;
const restMs = 10_000;

/** After the first sync. `samples` changes of an endpoint; a Service added and deleted a tenth as often, at least 10 times. */
export async function measureServices(
  proxy: MeasuredProxy,
  size: ServiceSize,
  samples: number,
): Promise<Omit<ServiceCosts, 'firstSyncSeconds' | 'firstSyncCpuSeconds'>> {
  await sleep(500);
  const changeMs = await changeEndpoints(proxy, size, samples);
  const { addedMs, deletedMs } = await addAndDelete(proxy, size, Math.max(10, Math.min(50, samples / 10)));
  return { changeMs, addedMs, deletedMs, ...(await measureRest(proxy.pid)) };
}

export async function measureRest(pid: number): Promise<Occupied> {
  await sleep(calmMs);
  const before = cpuSecondsOf(pid);
  await sleep(restMs);
  return {
    restCpuSeconds: cpuSecondsOf(pid) - before,
    residentMegabytes: residentMegabytes(pid),
    peakMegabytes: residentMegabytes(pid, 'VmHWM'),
  };
}

/** Each time another Service loses its first endpoint and gets a new one. */
async function changeEndpoints(proxy: MeasuredProxy, size: ServiceSize, samples: number): Promise<readonly number[]> {
  const { services, endpoints } = size;
  const taken: number[] = [];
  for (let round = 0; round < samples; round++) {
    const index = (round * 7919) % services;
    const addresses = Array.from({ length: endpoints }, (_, member) =>
      endpointAddress(member === 0 ? services * endpoints + round : index * endpoints + member),
    );
    taken.push(await proxy.change(sliceAt(index, addresses)));
    await sleep(pauseMs);
  }
  return taken;
}

/** The last one that was added stays: a real packet goes to it. */
async function addAndDelete(
  proxy: MeasuredProxy,
  { services, endpoints }: ServiceSize,
  rounds: number,
): Promise<Pick<ServiceCosts, 'addedMs' | 'deletedMs'>> {
  const addedMs: number[] = [];
  const deletedMs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const service = serviceAt(services);
    const slice = sliceAt(services, [endpointAddress((services + 1) * endpoints + 1000 + round)]);
    addedMs.push(await proxy.add(service, slice));
    await sleep(pauseMs);
    if (round === rounds - 1) break;
    deletedMs.push(await proxy.remove(service, slice));
    await sleep(pauseMs);
  }
  return { addedMs, deletedMs };
}
