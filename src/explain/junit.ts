/** Results of flows as JUnit XML, which CI systems read. */
import type { FlowResult } from './flows.ts';
import { flowName } from './flows.ts';

/** One suite, named after the file of flows. */
export function junitXml(suite: string, results: readonly FlowResult[]): string {
  const failures = results.filter(({ passed }) => !passed).length;
  const counts = `tests="${results.length}" failures="${failures}"`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="sluice" ${counts}>`,
    `  <testsuite name="${escapeXml(suite)}" ${counts}>`,
    ...results.map((result) => caseXml(suite, result)),
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n');
}

function caseXml(suite: string, { number, flow, passed, reason }: FlowResult): string {
  const why = flow.why === undefined ? '' : ` (${flow.why})`;
  const name = escapeXml(`${number}. ${flowName(flow)} ${flow.expect}${why}`);
  const place = `classname="${escapeXml(suite)}" file="${escapeXml(suite)}" line="${flow.line}"`;
  if (passed) return `    <testcase name="${name}" ${place}/>`;
  return [
    `    <testcase name="${name}" ${place}>`,
    `      <failure message="${escapeXml(reason)}"/>`,
    '    </testcase>',
  ].join('\n');
}

/** Also leaves out what XML 1.0 cannot say at all. */
function escapeXml(text: string): string {
  return text
    .replaceAll(/(?![\t\n])\p{Cc}/gu, '')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
