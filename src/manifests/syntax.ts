/** The spellings that the API server accepts. */

export const expectedDnsLabel = 'lower-case letters, digits and "-", at most 63, first and last a letter or digit';
export const expectedDnsSubdomain =
  'lower-case letters, digits, "-" and ".", at most 253, first and last a letter or digit';
export const expectedLabelKey =
  'an optional DNS prefix and "/", then at most 63 letters, digits, "-", "_" or ".", first and last a letter or digit';
export const expectedLabelValue =
  'at most 63 letters, digits, "-", "_" or ".", first and last a letter or digit, or nothing';
export const expectedPortName =
  'at most 15 lower-case letters, digits or "-", with a letter, no "-" at an end or doubled';

/** RFC 1123 label: names of namespaces, Services and Service ports. */
export function isDnsLabel(text: string): boolean {
  return text.length <= 63 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(text);
}

/** RFC 1123 subdomain: names of all else. */
export function isDnsSubdomain(text: string): boolean {
  return text.length <= 253 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(text);
}

export function isLabelKey(text: string): boolean {
  const slash = text.indexOf('/');
  if (slash >= 0 && !isDnsSubdomain(text.slice(0, slash))) return false;
  const name = text.slice(slash + 1);
  return name !== '' && isLabelValue(name);
}

export function isLabelValue(text: string): boolean {
  return text.length <= 63 && /^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/.test(text);
}

/** IANA service name: ports of containers, and how policies and Services refer to them. */
export function isPortName(text: string): boolean {
  return text.length <= 15 && /^[a-z0-9]+(-[a-z0-9]+)*$/.test(text) && /[a-z]/.test(text);
}

export function isPortNumber(value: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= 65535;
}
