/** What comes before the first rule: the name that DNS answers for, and the way to the first node. */
import type { Service } from '../cluster/objects.ts';
import { describeObject } from '../cluster/objects.ts';
import { dnsAnswer, entryNodes } from '../cluster/service-names.ts';
import type { ClusterModel } from './cluster-model.ts';
import type { Connection } from './journey.ts';
import type { Question } from './question.ts';

/** One sentence about a Service. */
export interface Preface {
  readonly action: 'DNS' | 'route';
  readonly reason: string;
  readonly service: Service;
}

/** Empty where the packet goes to the address that was asked for, by a way that nobody chose. */
export function prefacesOf(model: ClusterModel, { to }: Question, connection?: Connection): readonly Preface[] {
  const names = to.party.kind === 'service' ? namePrefaces(model, to.party.service, to.port) : [];
  return [...names, ...entryPrefaces(model, connection)];
}

function namePrefaces(model: ClusterModel, service: Service, port: number): readonly Preface[] {
  const { services, addresses } = dnsAnswer(model.state, service);
  return services.flatMap((present): Preface[] => {
    if (present.type === 'ExternalName') {
      const reason = `${describeObject(present)} is an ExternalName: it has no rules, DNS answers with the name ${present.externalName ?? ''}`;
      return [{ action: 'DNS', reason, service: present }];
    }
    if (!present.headless) return [];
    const answer =
      addresses.length === 0 ? 'with no address' : `${addresses.join(', ')}, and the client takes one of them`;
    const reason = `${describeObject(present)} is headless: it has no rules, DNS answers ${answer}${portText(present, port)}`;
    return [{ action: 'DNS', reason, service: present }];
  });
}

/** Without rules nothing turns the Service's port into the pods' own. */
function portText({ ports }: Service, asked: number): string {
  const served = ports.find(({ port, targetPort }) => port === asked && targetPort !== asked);
  return served === undefined
    ? ''
    : `; nothing translates port ${asked} to ${served.targetPort}, where the pods listen`;
}

function entryPrefaces(model: ClusterModel, connection: Connection | undefined): readonly Preface[] {
  if (connection?.from.kind !== 'outside') return [];
  const owner = model.ownerOf(connection.to);
  if (owner?.kind !== 'service' || owner.service.clusterIps.includes(connection.to)) return [];
  const { service } = owner;
  const nodes = entryNodes(model.state, service);
  const [first] = nodes;
  if (first === undefined || nodes.length === 1) return [];
  const which =
    service.externalTrafficPolicy === 'Local' && nodes.length < model.nodeNames.length
      ? `by the nodes that have endpoints (${nodes.join(', ')}), as health checks tell`
      : 'by any node';
  return [
    {
      action: 'route',
      reason: `packets to ${connection.to} may come in ${which}; this one comes by ${first}`,
      service,
    },
  ];
}
