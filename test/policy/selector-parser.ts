/** A parser of Calico's selector language, only so that the recorded selectors can be turned into nodes. */
import type { SelectorNode } from '../../src/policy/selector-text.ts';

const tokenPattern =
  /\s*(?:(\|\||&&|!=|==|!|[(){},])|(all\(\)|global\(\)|contains\b|starts with\b|ends with\b|not in\b|in\b)|"([^"]*)"|'([^']*)'|([\w./-]+))/y;

interface Token {
  readonly kind: 'sign' | 'text' | 'label';
  readonly text: string;
}

export function parseSelector(text: string): SelectorNode {
  const tokens = tokenize(text);
  if (tokens.length === 0) return { kind: 'all' };
  const node = parseOr(tokens);
  if (tokens.length > 0) throw new Error(`left over after the selector: ${JSON.stringify(tokens)}`);
  return node;
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  const end = text.trimEnd().length;
  tokenPattern.lastIndex = 0;
  while (tokenPattern.lastIndex < end) {
    const at = tokenPattern.lastIndex;
    const match = tokenPattern.exec(text);
    if (match === null) throw new Error(`no token at ${at} of ${text}`);
    const [, sign, word, double, single, label] = match;
    if (sign !== undefined || word !== undefined) tokens.push({ kind: 'sign', text: sign ?? word ?? '' });
    else if (label !== undefined) tokens.push({ kind: 'label', text: label });
    else tokens.push({ kind: 'text', text: double ?? single ?? '' });
  }
  return tokens;
}

function parseOr(tokens: Token[]): SelectorNode {
  return parseOperands(tokens, '||', 'or', parseAnd);
}

function parseAnd(tokens: Token[]): SelectorNode {
  return parseOperands(tokens, '&&', 'and', parseTerm);
}

function parseOperands(
  tokens: Token[],
  sign: string,
  kind: 'and' | 'or',
  parse: (tokens: Token[]) => SelectorNode,
): SelectorNode {
  const first = parse(tokens);
  const operands = [first];
  while (accept(tokens, sign)) operands.push(parse(tokens));
  return operands.length === 1 ? first : { kind, operands };
}

function parseTerm(tokens: Token[]): SelectorNode {
  if (accept(tokens, '!')) return { kind: 'not', operand: parseTerm(tokens) };
  if (accept(tokens, 'all()')) return { kind: 'all' };
  if (accept(tokens, 'global()')) return { kind: 'global' };
  if (accept(tokens, '(')) {
    const inner = parseOr(tokens);
    expectSign(tokens, ')');
    return inner;
  }
  const label = take(tokens, 'label');
  if (label === 'has' && accept(tokens, '(')) {
    const present = take(tokens, 'label');
    expectSign(tokens, ')');
    return { kind: 'has', label: present };
  }
  return parseOperator(label, tokens);
}

function parseOperator(label: string, tokens: Token[]): SelectorNode {
  for (const operator of ['in', 'not in'] as const) {
    if (accept(tokens, operator)) return { kind: 'member', label, operator, values: parseValues(tokens) };
  }
  for (const operator of ['==', '!=', 'contains', 'starts with', 'ends with'] as const) {
    if (accept(tokens, operator)) return { kind: 'compare', label, operator, value: take(tokens, 'text') };
  }
  throw new Error(`no operator after ${label}`);
}

function parseValues(tokens: Token[]): readonly string[] {
  const values: string[] = [];
  expectSign(tokens, '{');
  while (!accept(tokens, '}')) {
    values.push(take(tokens, 'text'));
    accept(tokens, ',');
  }
  return values;
}

function accept(tokens: Token[], sign: string): boolean {
  const [next] = tokens;
  if (next?.kind !== 'sign' || next.text !== sign) return false;
  tokens.shift();
  return true;
}

function expectSign(tokens: Token[], sign: string): void {
  if (!accept(tokens, sign)) throw new Error(`expected ${sign}, found ${tokens[0]?.text}`);
}

function take(tokens: Token[], kind: Token['kind']): string {
  const next = tokens.shift();
  if (next?.kind !== kind) throw new Error(`expected a ${kind}, found ${next?.text}`);
  return next.text;
}
