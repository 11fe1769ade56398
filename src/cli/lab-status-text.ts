import type { LabStatus } from '../lab/status.ts';
import { formatTable } from './table.ts';

/** A lab for people: nodes with their agents, then pods. */
export function labStatusText(status: LabStatus): string {
  const following = status.isFollowing ? `following ${status.directory}` : 'its process is gone: sluice lab down';
  const agents = new Map(status.agents.map((agent) => [agent.node, agent]));
  const nodes = status.nodes.map(({ name, addresses }) => {
    const agent = agents.get(name);
    const state = agent === undefined ? 'no agent' : agent.isReady ? 'ready' : 'not ready';
    return [name, addresses.join(','), state, agent === undefined ? '' : `${agent.programmed}/${agent.known}`];
  });
  const pods = status.pods.map(({ key, node, addresses }) => [key, node, addresses.join(',')]);
  return [
    `Lab ${status.name} (${status.cni}), ${status.phase}, ${following}\n`,
    formatTable(['NODE', 'ADDRESSES', 'AGENT', 'PODS'], nodes),
    formatTable(['POD', 'NODE', 'ADDRESSES'], pods),
    ...status.messages.map((message) => `${message}\n`),
  ].join('\n');
}
