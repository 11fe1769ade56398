# Sends one SCTP INIT for each line "ADDRESS SOURCE-PORT DESTINATION-PORT" of standard input, from raw sockets:
# this kernel may have no SCTP of its own. conntrack looks at the checksum, so it is made (CRC-32C, RFC 9260).
use strict;
use warnings;
use Socket qw(AF_INET AF_INET6 SOCK_RAW inet_pton pack_sockaddr_in pack_sockaddr_in6);

my $sctp = 132;

sub crc32c {
    my ($bytes) = @_;
    my $crc = 0xffffffff;
    for my $byte (unpack 'C*', $bytes) {
        $crc ^= $byte;
        $crc = ($crc >> 1) ^ ($crc & 1 ? 0x82f63b78 : 0) for 1 .. 8;
    }
    return $crc ^ 0xffffffff;
}

sub init_packet {
    my ($source, $destination) = @_;
    # Type 1, no flags, 20 bytes: tag, receive window, streams out and in, first sequence number.
    my $chunk = pack 'C C n N N n n N', 1, 0, 20, 0x5c7b0000 + $source, 65536, 1, 1, 1;
    my $header = pack 'n n N', $source, $destination, 0;
    my $checksum = crc32c($header . pack('V', 0) . $chunk);
    return $header . pack('V', $checksum) . $chunk;
}

while (my $line = <STDIN>) {
    my ($address, $source, $destination) = split ' ', $line;
    my $is_v6 = $address =~ /:/;
    my $family = $is_v6 ? AF_INET6 : AF_INET;
    socket(my $socket, $family, SOCK_RAW, $sctp) or die "raw socket: $!\n";
    my $host = inet_pton($family, $address) or die "not an address: $address\n";
    my $to = $is_v6 ? pack_sockaddr_in6(0, $host) : pack_sockaddr_in(0, $host);
    # A refusal by the sender's own rules is an answer too: the other end has seen nothing.
    send($socket, init_packet($source, $destination), 0, $to);
}
