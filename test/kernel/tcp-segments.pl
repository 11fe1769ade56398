# Sends one TCP segment with a byte of data for each line "SOURCE SOURCE-PORT DESTINATION DESTINATION-PORT SEQUENCE" of standard input, from a raw
# socket: whatever the connection of these ports is at, the sequence is the line's.
use strict;
use warnings;
use Socket qw(AF_INET SOCK_RAW IPPROTO_TCP inet_aton pack_sockaddr_in);

sub checksum {
    my ($bytes) = @_;
    $bytes .= "\0" if length($bytes) % 2;
    my $sum = 0;
    $sum += $_ for unpack 'n*', $bytes;
    $sum = ($sum >> 16) + ($sum & 0xffff) while $sum >> 16;
    return $sum ^ 0xffff;
}

socket(my $socket, AF_INET, SOCK_RAW, IPPROTO_TCP) or die "raw socket: $!\n";
while (my $line = <STDIN>) {
    my ($source, $sport, $destination, $dport, $sequence) = split ' ', $line;
    # Acknowledges itself: out of the window in both directions. ACK and PSH.
    my $segment = pack 'n n N N C C n n n', $sport, $dport, $sequence, $sequence, 5 << 4, 0x18, 1024, 0, 0;
    $segment .= 'x';
    my $pseudo = inet_aton($source) . inet_aton($destination) . pack('C C n', 0, IPPROTO_TCP, length $segment);
    substr($segment, 16, 2) = pack 'n', checksum($pseudo . $segment);
    send($socket, $segment, 0, pack_sockaddr_in(0, inet_aton($destination))) or die "send: $!\n";
}
