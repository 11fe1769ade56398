/** What other programs put on a node: rules as Docker, kube-proxy, flannel and firewalld write them, and an administrator's own. */
import { inside } from './raw-packets.ts';
import type { NodeKernel } from './without.ts';

interface Family {
  readonly program: 'iptables' | 'ip6tables';
  readonly pods: string;
  readonly docker: string;
  readonly container: string;
  readonly clusterIp: string;
  readonly mask: string;
  readonly all: string;
}

const families: readonly Family[] = [
  {
    program: 'iptables',
    pods: '10.244.0.0/16',
    docker: '172.17.0.0/16',
    container: '172.17.0.2',
    clusterIp: '10.97.0.10',
    mask: '32',
    all: '0.0.0.0/0',
  },
  {
    program: 'ip6tables',
    pods: 'fd00:10:244::/56',
    docker: 'fd17::/64',
    container: 'fd17::2',
    clusterIp: 'fd00:10:97::a',
    mask: '128',
    all: '::/0',
  },
];

/** Docker, kube-proxy, flannel and firewalld, as they are found by an agent that comes later. */
export async function addPrograms(kernel: NodeKernel): Promise<void> {
  for (const family of families) {
    for (const text of [dockerText(family), kubeProxyText(family), flannelText(family), firewalldText(family)]) {
      await restore(kernel, family.program, text);
    }
  }
  await inside(kernel.netns, ['ipset', 'create', 'blocklist', 'hash:net', 'timeout', '0']);
  await inside(kernel.netns, ['ipset', 'add', 'blocklist', '198.51.100.0/24']);
}

/** An administrator's rules, above ours, between them and below, while the agent runs. */
export async function addOwnRules(kernel: NodeKernel): Promise<void> {
  for (const { program, pods } of families) {
    const ipset = program === 'iptables' ? ['-A INPUT -m set --match-set blocklist src -j DROP'] : [];
    await restore(kernel, program, table('raw', [], [`-I PREROUTING -s ${pods} -p udp -m udp --dport 4789 -j ACCEPT`]));
    await restore(
      kernel,
      program,
      table(
        'mangle',
        [],
        [
          '-I POSTROUTING -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu',
          '-A POSTROUTING -m mark --mark 0x7/0xff -j MARK --set-xmark 0x0/0xff',
        ],
      ),
    );
    await restore(
      kernel,
      program,
      table(
        'filter',
        ['MY-RULES'],
        [
          '-I FORWARD -m comment --comment "mine: \\"first\\" of all" -j MY-RULES',
          '-I FORWARD 3 -p tcp -m tcp --dport 25 -m comment --comment "no mail; -j ACCEPT" -j REJECT',
          '-A FORWARD -m comment --comment last -j MY-RULES',
          '-I INPUT -p tcp -m tcp --dport 22 -j ACCEPT',
          ...ipset,
          '-I OUTPUT 1 -p tcp -m multiport --dports 6667,6697 -j REJECT',
          '-A MY-RULES -m limit --limit 5/min -j RETURN',
          '-A MY-RULES -p tcp -m connlimit --connlimit-above 500 -j DROP',
        ],
      ),
    );
  }
}

/** Tables of nftables itself, where firewalld and Docker of today keep their rules. */
export async function addNativeTables({ netns }: NodeKernel): Promise<void> {
  await inside(netns, ['nft', '-f', '-'], nativeTables);
}

/** The native tables as they are listed, without counters. */
export async function nativeImage({ netns }: NodeKernel): Promise<string> {
  const names = ['inet firewalld', 'ip docker-bridges', 'netdev edge'];
  const listed = await Promise.all(names.map((name) => inside(netns, ['nft', 'list', 'table', ...name.split(' ')])));
  return listed.join('\n').replaceAll(/counter packets \d+ bytes \d+/g, 'counter');
}

/** One sync of kube-proxy: its whole text again, as it writes it after a full resync. */
export async function syncKubeProxy(kernel: NodeKernel): Promise<void> {
  for (const family of families) await restore(kernel, family.program, kubeProxyText(family, false));
}

async function restore({ netns, variant }: NodeKernel, program: string, text: string): Promise<void> {
  await inside(netns, [`${program}-${variant}-restore`, '--noflush'], text);
}

function table(name: string, chains: readonly string[], rules: readonly string[]): string {
  return [`*${name}`, ...chains.map((chain) => `:${chain} - [0:0]`), ...rules, 'COMMIT', ''].join('\n');
}

function dockerText({ docker, container, mask }: Family): string {
  return [
    table(
      'nat',
      ['DOCKER'],
      [
        '-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER',
        '-A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER',
        `-A POSTROUTING -s ${docker} ! -o docker0 -j MASQUERADE`,
        '-A DOCKER -i docker0 -j RETURN',
        `-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination ${mask === '32' ? container : `[${container}]`}:80`,
      ],
    ),
    table(
      'filter',
      [
        'DOCKER',
        'DOCKER-BRIDGE',
        'DOCKER-CT',
        'DOCKER-FORWARD',
        'DOCKER-ISOLATION-STAGE-1',
        'DOCKER-ISOLATION-STAGE-2',
        'DOCKER-USER',
      ],
      [
        '-A FORWARD -j DOCKER-USER',
        '-A FORWARD -j DOCKER-FORWARD',
        `-A DOCKER -d ${container}/${mask} ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT`,
        '-A DOCKER ! -i docker0 -o docker0 -j DROP',
        '-A DOCKER-BRIDGE -o docker0 -j DOCKER',
        '-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
        '-A DOCKER-FORWARD -j DOCKER-CT',
        '-A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1',
        '-A DOCKER-FORWARD -j DOCKER-BRIDGE',
        '-A DOCKER-FORWARD -i docker0 -j ACCEPT',
        '-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2',
        '-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP',
        '-A DOCKER-USER -j RETURN',
      ],
    ),
    table('raw', [], [`-A PREROUTING -d ${container}/${mask} ! -i docker0 -j DROP`]),
  ].join('');
}

/** Policy alone is ours here: all of it is kube-proxy's, also the chains that we write where we serve. `first`: with its jumps. */
function kubeProxyText({ clusterIp, mask, pods }: Family, first = true): string {
  const service = '"default/web:http cluster IP"';
  const endpoint = mask === '32' ? '10.244.1.5' : 'fd00:10:244:1::5';
  const target = mask === '32' ? `${endpoint}:8080` : `[${endpoint}]:8080`;
  const portals = '-m comment --comment "kubernetes service portals" -j KUBE-SERVICES';
  const balancers =
    '-m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL';
  const external =
    '-m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES';
  const jumps = (lines: readonly string[]): readonly string[] => (first ? lines : []);
  return [
    table('mangle', ['KUBE-PROXY-CANARY', 'KUBE-KUBELET-CANARY'], []),
    table(
      'nat',
      [
        'KUBE-SERVICES',
        'KUBE-NODEPORTS',
        'KUBE-POSTROUTING',
        'KUBE-MARK-MASQ',
        'KUBE-SVC-ERIFXISQEP7F7OF4',
        'KUBE-SEP-QZKE6UUHZUFUQYNV',
      ],
      [
        ...jumps([
          `-A PREROUTING ${portals}`,
          `-A OUTPUT ${portals}`,
          '-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING',
        ]),
        '-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN',
        '-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000',
        '-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE',
        '-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000',
        `-A KUBE-SERVICES -m comment --comment ${service} -m tcp -p tcp -d ${clusterIp} --dport 80 -j KUBE-SVC-ERIFXISQEP7F7OF4`,
        `-A KUBE-SVC-ERIFXISQEP7F7OF4 -m comment --comment ${service} -m tcp -p tcp -d ${clusterIp} --dport 80 ! -s ${pods} -j KUBE-MARK-MASQ`,
        '-A KUBE-SVC-ERIFXISQEP7F7OF4 -m comment --comment "default/web:http" -j KUBE-SEP-QZKE6UUHZUFUQYNV',
        `-A KUBE-SEP-QZKE6UUHZUFUQYNV -m comment --comment default/web:http -s ${endpoint} -j KUBE-MARK-MASQ`,
        `-A KUBE-SEP-QZKE6UUHZUFUQYNV -m comment --comment default/web:http -m tcp -p tcp -j DNAT --to-destination ${target}`,
        '-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS',
      ],
    ),
    table(
      'filter',
      ['KUBE-SERVICES', 'KUBE-EXTERNAL-SERVICES', 'KUBE-FORWARD', 'KUBE-NODEPORTS', 'KUBE-PROXY-FIREWALL'],
      [
        ...jumps([
          `-A INPUT ${balancers}`,
          `-A OUTPUT ${balancers}`,
          `-A FORWARD ${balancers}`,
          '-A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS',
          `-A INPUT ${external}`,
          `-A FORWARD ${external}`,
          '-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
        ]),
        '-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP',
        '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT',
        '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      ],
    ),
  ].join('');
}

function flannelText({ pods, all, mask }: Family): string {
  const multicast = mask === '32' ? '224.0.0.0/4' : 'ff00::/8';
  const masq = '-m comment --comment "flanneld masq"';
  return [
    table(
      'nat',
      ['FLANNEL-POSTRTG'],
      [
        `-A POSTROUTING ${masq} -j FLANNEL-POSTRTG`,
        `-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 ${masq} -j RETURN`,
        `-A FLANNEL-POSTRTG -s ${pods} -d ${pods} ${masq} -j RETURN`,
        `-A FLANNEL-POSTRTG -s ${pods} ! -d ${multicast} ${masq} -j MASQUERADE --random-fully`,
        `-A FLANNEL-POSTRTG ! -s ${pods} -d ${pods} ${masq} -j MASQUERADE --random-fully`,
      ],
    ),
    table(
      'filter',
      ['FLANNEL-FWD'],
      [
        '-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD',
        `-A FLANNEL-FWD -s ${pods} -m comment --comment "flanneld forward" -j ACCEPT`,
        `-A FLANNEL-FWD -d ${pods} -m comment --comment "flanneld forward" -j ACCEPT`,
        `-A FLANNEL-FWD -s ${all} -d ${multicast} -j RETURN`,
      ],
    ),
  ].join('');
}

/** With its iptables backend. */
function firewalldText(_family: Family): string {
  const zones = [
    'INPUT_direct',
    'INPUT_ZONES',
    'IN_public',
    'IN_public_deny',
    'IN_public_allow',
    'FORWARD_direct',
    'FORWARD_IN_ZONES',
    'FWDI_public',
  ];
  return [
    table(
      'raw',
      ['PREROUTING_direct', 'PREROUTING_ZONES', 'PRE_public'],
      ['-A PREROUTING -j PREROUTING_direct', '-A PREROUTING -j PREROUTING_ZONES', '-A PREROUTING_ZONES -g PRE_public'],
    ),
    table(
      'mangle',
      ['PREROUTING_direct', 'POSTROUTING_direct'],
      ['-A PREROUTING -j PREROUTING_direct', '-A POSTROUTING -j POSTROUTING_direct'],
    ),
    table(
      'nat',
      ['PREROUTING_direct', 'POSTROUTING_direct', 'POST_public'],
      ['-A PREROUTING -j PREROUTING_direct', '-A POSTROUTING -j POSTROUTING_direct', '-A POSTROUTING -g POST_public'],
    ),
    table('filter', zones, [
      '-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT',
      '-A INPUT -i lo -j ACCEPT',
      '-A INPUT -j INPUT_direct',
      '-A INPUT -j INPUT_ZONES',
      '-A FORWARD -j FORWARD_direct',
      '-A FORWARD -j FORWARD_IN_ZONES',
      '-A FORWARD_IN_ZONES -g FWDI_public',
      '-A INPUT_ZONES -g IN_public',
      '-A IN_public -j IN_public_deny',
      '-A IN_public -j IN_public_allow',
      '-A IN_public_allow -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW,UNTRACKED -j ACCEPT',
    ]),
  ].join('');
}

const nativeTables = `
table inet firewalld {
  set trusted { type ipv4_addr; flags interval; elements = { 192.0.2.0/24 } }
  chain mangle_PREROUTING { type filter hook prerouting priority mangle + 10; policy accept; }
  chain filter_FORWARD {
    type filter hook forward priority filter + 10; policy accept;
    ct state established,related accept
    ip saddr @trusted counter accept comment "a trusted zone"
    meta mark & 0x000f0000 == 0x00000000 counter
  }
}
table ip docker-bridges {
  map published { type inet_service : ipv4_addr . inet_service; elements = { 8080 : 172.17.0.2 . 80 } }
  chain filter-FORWARD {
    type filter hook forward priority filter; policy accept;
    oifname "docker0" counter drop
  }
}
table netdev edge {
  chain none { }
}
`;
