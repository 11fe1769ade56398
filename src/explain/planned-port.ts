/** The port of a Service that a rule was written for, as its node planned it. */
import type { Service } from '../cluster/objects.ts';
import { keyOf } from '../cluster/objects.ts';
import type { TraceStep } from '../dataplane/trace/step.ts';
import type { PlannedPort } from '../service/plan.ts';
import type { ClusterModel } from './cluster-model.ts';

type RuleStep = TraceStep & { readonly kind: 'rule' };

export interface FoundPort {
  readonly service: Service;
  readonly port: PlannedPort;
}

/** Undefined: no Service asked for the rule. */
export function plannedPortOf(model: ClusterModel, node: string, step: RuleStep): FoundPort | undefined {
  const { object = '', path } = step.rule.origin;
  const service = model.serviceCalled(object);
  const planned = service === undefined ? undefined : model.node(node).servicePlan?.services.get(keyOf(service));
  const port = planned?.ports.find((one) => one.path === path && one.family === step.before.family);
  return planned === undefined || port === undefined ? undefined : { service: planned.service, port };
}
