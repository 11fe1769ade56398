# Sends UDP datagrams until it is ended: perl send-datagrams.pl PORT ADDRESS... About 500 a second to each address.
use strict;
use warnings;
use Socket qw(AF_INET AF_INET6 SOCK_DGRAM inet_pton pack_sockaddr_in pack_sockaddr_in6);

my ($port, @addresses) = @ARGV;
my @targets = map {
    my $family = /:/ ? AF_INET6 : AF_INET;
    my $host = inet_pton($family, $_) or die "not an address: $_\n";
    socket(my $socket, $family, SOCK_DGRAM, 0) or die "socket: $!\n";
    [$socket, /:/ ? pack_sockaddr_in6($port, $host) : pack_sockaddr_in($port, $host)];
} @addresses;
while (1) {
    # An error that came back for an earlier datagram is no reason to stop.
    send($_->[0], 'x', 0, $_->[1]) for @targets;
    select undef, undef, undef, 0.002;
}
