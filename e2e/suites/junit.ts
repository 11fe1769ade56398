/** Reads the JUnit report that the upstream test program writes: one test case for each spec, those not chosen included. */
import type { CaseResult } from './suite.ts';

/** The specs that were chosen; those that were not ("skipped" without a reason) are left out. */
export function readJunit(xml: string): readonly CaseResult[] {
  return [...xml.matchAll(/<testcase ([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)].flatMap(([, attributes, body]) => {
    const result = caseOf(attributesOf(attributes ?? ''), body ?? '');
    return result === undefined ? [] : [result];
  });
}

function caseOf(attributes: ReadonlyMap<string, string>, body: string): CaseResult | undefined {
  const { name = '', status = '', time = '0' } = Object.fromEntries(attributes);
  // "[It] " is the kind of node; set-up of the whole suite is reported beside the specs, and counts when it fails.
  const result = { name: name.replace(/^\[It\] /, ''), seconds: Number(time) };
  if (status === 'passed') return name === result.name ? undefined : { ...result, outcome: 'passed' };
  if (status === 'pending' || status === 'skipped') {
    const message = messageOf(/<skipped message="([^"]*)"/, body).replace(/^skipped( - )?/, '');
    return message === '' ? undefined : { ...result, outcome: 'skipped', message };
  }
  return { ...result, outcome: 'failed', message: messageOf(/<(?:failure|error) message="([^"]*)"/, body) };
}

function messageOf(pattern: RegExp, body: string): string {
  return unescape(pattern.exec(body)?.[1] ?? '');
}

function attributesOf(text: string): ReadonlyMap<string, string> {
  return new Map([...text.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key ?? '', unescape(value ?? '')]));
}

const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };

function unescape(text: string): string {
  return text.replaceAll(
    /&(?:#x([0-9a-fA-F]+)|#(\d+)|(\w+));/g,
    (whole, hex?: string, decimal?: string, name?: string) => {
      if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
      if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
      return entities[name ?? ''] ?? whole;
    },
  );
}
