# Sends UDP datagrams, each a flow of its own, until it is told to end: perl steady-packets.pl MILLISECONDS PORT-ADDRESS...
# Then prints how many went to each, in the order of the arguments, and ends.
use strict;
use warnings;
use Socket qw(AF_INET AF_INET6 SOCK_DGRAM inet_pton pack_sockaddr_in pack_sockaddr_in6);

my ($pause, @arguments) = @ARGV;
my @targets = map {
    my ($port, $address) = /^(\d+)-(.*)$/ or die "not PORT-ADDRESS: $_\n";
    my $family = $address =~ /:/ ? AF_INET6 : AF_INET;
    my $host = inet_pton($family, $address) or die "not an address: $address\n";
    { family => $family, sent => 0, to => $family == AF_INET6 ? pack_sockaddr_in6($port, $host) : pack_sockaddr_in($port, $host) };
} @arguments;
my $ended = 0;
$SIG{TERM} = sub { $ended = 1 };
until ($ended) {
    for my $target (@targets) {
        socket(my $socket, $target->{family}, SOCK_DGRAM, 0) or die "socket: $!\n";
        $target->{sent} += 1 if defined send($socket, 'x', 0, $target->{to});
    }
    select undef, undef, undef, $pause / 1000;
}
print join(' ', map { $_->{sent} } @targets), "\n";
