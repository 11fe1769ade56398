/** Why an endpoint is used or not, in words. */
import type { EndpointReason } from '../service/plan.ts';

export const endpointReasons: Readonly<Record<EndpointReason, string>> = {
  ready: 'it is ready',
  'serving-while-terminating': 'it still serves while it terminates, and none is ready',
  'not-ready': 'it is not ready',
  'not-serving': 'it does not serve',
  terminating: 'it terminates, and others are ready',
  'hinted-to-other-node': 'hints keep this node’s traffic on its own endpoints',
  'hinted-to-other-zone': 'hints keep this zone’s traffic on its own endpoints',
  'on-other-node': 'it is on another node',
  'list-not-needed': 'no traffic policy asks for it',
};
