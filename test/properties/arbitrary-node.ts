/** Random nodes: where the few addresses of `test/policy/arbitrary.ts` are, and what an administrator chose. */
import * as fc from 'fast-check';
import type { CompileOptions } from '../../src/compile/options.ts';
import type { EndpointBinding, NodeFacts } from '../../src/dataplane/endpoint-binding.ts';
import type { IpFamily } from '../../src/lib/ip.ts';
import { nodeObject, nodeOptions } from '../compile/node.ts';
import { ip } from '../policy/objects.ts';

const addresses = ['10.0.0.1', '10.0.0.2', '10.0.0.3', 'fd00::1', 'fd00::2'];

const someBinding: fc.Arbitrary<EndpointBinding> = fc.oneof(
  fc
    .constantFrom('veth0', 'veth1', 'veth2', 'cali0')
    .map((name): EndpointBinding => ({ kind: 'routed', interface: name })),
  fc.constantFrom('vethp', 'vethq').map((port): EndpointBinding => ({ kind: 'bridged', bridge: 'cni0', port })),
  fc.constant<EndpointBinding>({ kind: 'bridged', bridge: 'cni0' }),
);

export const someFacts: fc.Arbitrary<NodeFacts> = fc
  .record({
    bindings: fc.dictionary(fc.constantFrom(...addresses), someBinding, { noNullPrototype: true }),
    conntrackLiberal: fc.boolean(),
  })
  .map(({ bindings, conntrackLiberal }) => ({
    bindings: new Map(Object.entries(bindings).map(([address, binding]) => [ip(address), binding])),
    nodeAddresses: nodeObject.addresses,
    conntrackLiberal,
  }));

export const someOptions: fc.Arbitrary<CompileOptions> = fc
  .record({
    podStart: fc.constantFrom('closed' as const, 'open' as const),
    established: fc.constantFrom('cut' as const, 'keep' as const),
    hostEgress: fc.constantFrom('policed' as const, 'allowed' as const),
    hostEndpointAction: fc.constantFrom('return' as const, 'drop' as const),
    interfacePrefixes: fc.constantFrom([], ['cali'], ['cali', 'veth']),
    ipFamilies: fc.constantFrom<readonly IpFamily[]>(['ipv4'], ['ipv4', 'ipv6'], ['ipv6']),
    invalidDrop: fc.boolean(),
  })
  .map((options) => ({ ...nodeOptions, ...options }));
