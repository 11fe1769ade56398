/** What `bench -- cluster` finds in a node's kernel, by the kernel's own programs. */
import { policyId, policyIngressChain, programmedSetName } from '../src/dataplane/names.ts';
import type { NetworkPolicy } from '../src/cluster/objects.ts';
import type { Netns } from './netns.ts';

/** Ports that a policy lets in; undefined where its chain is not there. What lies below a bare RETURN nothing reaches. */
export async function portsOfPolicy(node: Netns, { namespace, name }: NetworkPolicy): Promise<string | undefined> {
  const chain = policyIngressChain(policyId(namespace, name));
  // A chain that is not there has the exit code of any other failure, and one of two texts.
  const { stdout } = await node.run(['sh', '-c', `iptables-nft -S ${chain} 2>&1 || true`]);
  if (/No chain\/target\/match by that name|is incompatible, use 'nft' tool/.test(stdout)) return undefined;
  const [reached = ''] = stdout.split(/^-A \S+ -j RETURN$/m);
  return [...reached.matchAll(/--dports? (\S+)/g)].map(([, port = '']) => port).join();
}

export async function countPolicyChains(node: Netns): Promise<number> {
  const { stdout } = await node.run(['nft', 'list', 'chains', 'ip']);
  return stdout.match(/chain cali-pi-/g)?.length ?? 0;
}

/** Which sets an address is a member of. */
export async function setsWith(node: Netns, address: string): Promise<readonly string[]> {
  const { stdout } = await node.run(['ipset', 'save']);
  return stdout.split('\n').flatMap((line) => {
    const [verb, set, member] = line.split(' ');
    return verb === 'add' && set !== undefined && member === address ? [set] : [];
  });
}

export async function countProgrammed(node: Netns): Promise<number> {
  const { stdout } = await node.run(['ipset', 'save', programmedSet]);
  return stdout.match(/^add /gm)?.length ?? 0;
}

export const programmedSet: string = programmedSetName('ipv4');
