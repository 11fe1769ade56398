# Sends Ethernet frames as they are: each line of standard input is "INTERFACE-INDEX HEX". Debian's perl-base is enough.
use strict;
use warnings;

my ($af_packet, $sock_raw) = (17, 3);
socket(my $socket, $af_packet, $sock_raw, 0) or die "packet socket: $!\n";
while (my $line = <STDIN>) {
    my ($index, $hex) = split ' ', $line;
    my $frame = pack 'H*', $hex;
    # struct sockaddr_ll: the protocol is that of the frame, in network order.
    my $to = pack 'S a2 l S C C a8', $af_packet, substr($frame, 12, 2), $index, 0, 0, 6, substr($frame, 0, 6);
    defined send($socket, $frame, 0, $to) or die "send: $!\n";
}
