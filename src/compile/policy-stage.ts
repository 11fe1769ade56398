/** Keeps the chains of active policies and used profiles in the filter table. */
import { describeObject } from '../cluster/objects.ts';
import type { DeltaBuilder } from '../dataplane/delta-builder.ts';
import { policyEgressChain, policyIngressChain, profileEgressChain, profileIngressChain } from '../dataplane/names.ts';
import type { Chain } from '../dataplane/rule.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';
import type { IpFamily } from '../lib/ip.ts';
import { renderPolicyChains } from '../policy/chains.ts';
import type { ActivePolicy, PolicyPlanDelta } from '../policy/plan.ts';
import { renderProfileChains } from '../policy/profile-chains.ts';
import { tryRender } from './try-render.ts';

export class PolicyStage {
  readonly #families: readonly IpFamily[];
  /** By policy id. */
  readonly #failures = new Map<string, Diagnostic>();

  constructor(families: readonly IpFamily[]) {
    this.#families = families;
  }

  get diagnostics(): readonly Diagnostic[] {
    return [...this.#failures.values()];
  }

  apply(plan: PolicyPlanDelta, builder: DeltaBuilder): void {
    for (const [id, policy] of plan.policies) this.#putPolicy(id, policy, builder);
    for (const [profile, isUsed] of plan.profiles) this.#putProfile(profile, isUsed, builder);
  }

  #putPolicy(id: string, policy: ActivePolicy | undefined, builder: DeltaBuilder): void {
    this.#failures.delete(id);
    for (const family of this.#families) {
      builder.removeChain(family, 'filter', policyIngressChain(id));
      builder.removeChain(family, 'filter', policyEgressChain(id));
      if (policy === undefined) continue;
      for (const chain of this.#render(policy, family)) builder.putChain(family, 'filter', chain);
    }
  }

  /** A policy that cannot be rendered keeps its chains, empty: it isolates, and allows nothing. */
  #render(policy: ActivePolicy, family: IpFamily): readonly Chain[] {
    const rendered = tryRender(describeObject(policy.policy), () => renderPolicyChains(policy, family));
    if (rendered.chains !== undefined) return rendered.chains;
    this.#failures.set(policy.id, rendered.diagnostic);
    const { id, ingress, egress } = policy;
    return renderPolicyChains(
      { id, policy: policy.policy, ...(ingress && { ingress: [] }), ...(egress && { egress: [] }) },
      family,
    );
  }

  #putProfile(profile: string, isUsed: boolean, builder: DeltaBuilder): void {
    for (const family of this.#families) {
      builder.removeChain(family, 'filter', profileIngressChain(profile));
      builder.removeChain(family, 'filter', profileEgressChain(profile));
      if (!isUsed) continue;
      for (const chain of renderProfileChains(profile)) builder.putChain(family, 'filter', chain);
    }
  }
}
