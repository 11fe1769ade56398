/** What others have put on a node before us: chains, rules in built-in chains, sets, in every table and both families. */
import { inside } from './raw-packets.ts';
import type { NodeKernel } from './without.ts';

export async function addForeignRules({ netns, variant }: NodeKernel): Promise<void> {
  for (const command of [
    'create foreign hash:ip',
    'add foreign 192.0.2.1',
    'create cal hash:net',
    'create KUBE-X hash:ip',
  ]) {
    await inside(netns, ['ipset', ...command.split(' ')]);
  }
  for (const [program, address] of [
    ['iptables', '192.0.2.0/24'],
    ['ip6tables', '2001:db8::/32'],
  ] as const) {
    await inside(netns, [`${program}-${variant}-restore`, '--noflush'], foreignText(program, address));
  }
}

/** kube-proxy writes it too: a chain that two keep, with one text. */
const kubelets =
  '-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" ' +
  '-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP';

function foreignText(program: string, address: string): string {
  const ofFamily = program === 'iptables' ? ['-A DOCKER-USER -m set --match-set foreign src -j DROP', kubelets] : [];
  return `*raw
:mycali - [0:0]
-A PREROUTING -s ${address} -j mycali
COMMIT
*mangle
-A POSTROUTING -d ${address} -j MARK --set-xmark 0x1/0x1
-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
COMMIT
*nat
:DOCKER - [0:0]
:KUBE-MARK-DROP - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s ${address} -j MASQUERADE
COMMIT
*filter
:DOCKER-USER - [0:0]
:KUBE-FIREWALL - [0:0]
-A INPUT -j KUBE-FIREWALL
-A FORWARD -m comment --comment "cali is mentioned; -j ACCEPT" -d ${address} -j DOCKER-USER
-A FORWARD -p tcp -m multiport --dports 1,2,3 -m comment --comment "two  spaces" -j ACCEPT
-A OUTPUT -j KUBE-FIREWALL
${ofFamily.join('\n')}
COMMIT
`;
}
