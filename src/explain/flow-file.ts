/** `flows.yaml`: a list of connections and what is expected of each. */
import { isMap, isSeq, LineCounter, type Node as YamlNode, parseDocument } from 'yaml';
import { z } from 'zod';
import type { Diagnostic } from '../lib/diagnostic.ts';

export interface Flow {
  readonly from: string;
  readonly to: string;
  readonly expect: 'allowed' | 'denied';
  /** Where it must arrive after a Service, `NAME:PORT`; of several, every endpoint must be one. */
  readonly dnat?: readonly string[];
  /** Whom the server must see as its client. */
  readonly source?: string;
  readonly why?: string;
  /** 1-based line in the file. */
  readonly line: number;
}

export interface FlowFile {
  /** Those that could be read. */
  readonly flows: readonly Flow[];
  readonly diagnostics: readonly Diagnostic[];
}

const flowSchema = z.strictObject({
  from: z.string().min(1),
  to: z.string().min(1),
  expect: z.enum(['allowed', 'denied']),
  dnat: z.union([z.string(), z.array(z.string()).min(1)]).optional(),
  source: z.string().optional(),
  why: z.string().optional(),
});

/** `file` is named in the diagnostics. */
export function parseFlows(text: string, file: string): FlowFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const [syntax] = document.errors;
  if (syntax !== undefined) {
    const [message = 'not YAML'] = syntax.message.split('\n');
    return failed({ file, line: lines.linePos(syntax.pos[0]).line, message: message.replace(/:$/, '') });
  }
  const { contents } = document;
  if (contents === null) return { flows: [], diagnostics: [] };
  if (!isSeq(contents)) return failed({ file, line: 1, message: 'expected a list of flows: - {from, to, expect}' });
  const read = contents.items.map((item, index) => readFlow(item, { file, index, lines }));
  return {
    flows: read.flatMap(({ flows }) => flows),
    diagnostics: read.flatMap(({ diagnostics }) => diagnostics),
  };
}

interface FlowPlace {
  readonly file: string;
  /** 0-based. */
  readonly index: number;
  readonly lines: LineCounter;
}

function readFlow(item: unknown, { file, index, lines }: FlowPlace): FlowFile {
  const line = lineOf(item, lines);
  const place = { file, line, path: `[${index}]` };
  if (!isMap(item)) return failed({ ...place, message: 'expected a flow: {from, to, expect}' });
  const parsed = flowSchema.safeParse(item.toJSON());
  if (!parsed.success) {
    const diagnostics = parsed.error.issues.map((issue) =>
      problem({ ...place, path: [`[${index}]`, ...issue.path].join('.'), message: wordsOf(issue) }),
    );
    return { flows: [], diagnostics };
  }
  const { dnat, source, why, ...flow } = parsed.data;
  const read: Flow = {
    ...flow,
    line,
    ...(dnat === undefined ? {} : { dnat: typeof dnat === 'string' ? [dnat] : dnat }),
    ...(source === undefined ? {} : { source }),
    ...(why === undefined ? {} : { why }),
  };
  return { flows: [read], diagnostics: [] };
}

function wordsOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys') {
    return `unknown key ${issue.keys.join(', ')}: expected from, to, expect, dnat, source, why`;
  }
  if (issue.code === 'invalid_value') return `expected ${issue.values.join(' or ')}`;
  return issue.code === 'invalid_type' ? `expected a ${issue.expected}` : issue.message;
}

function lineOf(item: unknown, lines: LineCounter): number {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- items of a parsed sequence are YAML nodes
  const range = (item as YamlNode | null)?.range;
  return range === undefined || range === null ? 1 : lines.linePos(range[0]).line;
}

function failed(place: Omit<Diagnostic, 'severity' | 'object'>): FlowFile {
  return { flows: [], diagnostics: [problem(place)] };
}

function problem(place: Omit<Diagnostic, 'severity' | 'object'>): Diagnostic {
  return { severity: 'error', object: '', ...place };
}
