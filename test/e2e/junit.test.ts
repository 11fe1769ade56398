import { expect, test } from 'vitest';
import { readJunit } from '../../e2e/suites/junit.ts';

const report = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="7000" disabled="6995" errors="0" failures="1" time="12.5">
 <testsuite name="Kubernetes e2e suite">
  <testcase name="[SynchronizedBeforeSuite]" classname="Kubernetes e2e suite" status="passed" time="0.1"></testcase>
  <testcase name="[It] [sig-network] Netpol &#34;a&#34; &lt;b&gt; [Feature:NetworkPolicy]" classname="e" status="passed" time="7.25">
   <system-err>&gt; Enter [It] a &lt;testcase name=&#34;no&#34; status=&#34;failed&#34;/&gt;</system-err>
  </testcase>
  <testcase name="[It] [sig-network] Services should x" classname="e" status="failed" time="3"><failure message="two lines&#xA;of it" type="failed">at dns.go:1</failure></testcase>
  <testcase name="[It] [sig-network] Services not chosen" classname="e" status="skipped" time="0"><skipped message="skipped"></skipped></testcase>
  <testcase name="[It] [sig-network] Services unfit" classname="e" status="skipped" time="0.4"><skipped message="skipped - needs two zones"></skipped></testcase>
  <testcase name="[It] [sig-network] Services hangs" classname="e" status="timedout" time="60"><error message="A spec timed out" type="timedout"></error></testcase>
  <testcase name="[SynchronizedAfterSuite]" classname="e" status="failed" time="1"><failure message="no" type="failed"/></testcase>
  <testcase name="[ReportAfterSuite] report" classname="e" status="passed" time="0"/>
 </testsuite>
</testsuites>`;

test('a report of the upstream program: chosen specs alone, with what failed beside them', () => {
  expect(readJunit(report)).toEqual([
    { name: '[sig-network] Netpol "a" <b> [Feature:NetworkPolicy]', outcome: 'passed', seconds: 7.25 },
    { name: '[sig-network] Services should x', outcome: 'failed', seconds: 3, message: 'two lines\nof it' },
    { name: '[sig-network] Services unfit', outcome: 'skipped', seconds: 0.4, message: 'needs two zones' },
    { name: '[sig-network] Services hangs', outcome: 'failed', seconds: 60, message: 'A spec timed out' },
    { name: '[SynchronizedAfterSuite]', outcome: 'failed', seconds: 1, message: 'no' },
  ]);
});
