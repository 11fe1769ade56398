/** Conversations as members of a set: what we write is what we read, and nothing else is taken for one. */
import { expect, test } from 'vitest';
import { conversationMember, parseConversationMember } from '../../src/dataplane/conversation.ts';

test.each(['10.0.0.1,tcp:80,10.0.0.2', 'fd00::1,sctp:65535,fd00::2', '10.0.0.1,icmp:echo-request,10.0.0.2'])(
  '%s',
  (member) => {
    const conversation = parseConversationMember(member);
    expect(conversation === undefined ? undefined : conversationMember(conversation)).toBe(member);
  },
);

test.each([
  '10.0.0.1,tcp:80',
  '10.0.0.1,tcp:80,10.0.0.2,10.0.0.3',
  '10.0.0.9,10.0.0.1,tcp:80,10.0.0.2',
  'x,tcp:80,10.0.0.2',
  '10.0.0.1,tcp:80,x',
  '10.0.0.1,gre:80,10.0.0.2',
  '10.0.0.1,tcp:80x,10.0.0.2',
  '10.0.0.1,tcp:x80,10.0.0.2',
  '10.0.0.1,tcp:,10.0.0.2',
  '',
])('%j is none', (member) => {
  expect(parseConversationMember(member)).toBeUndefined();
});
