# Sends UDP datagrams to a port where nobody listens, 500 a second, until the address says so: perl first-answer.pl PORT ADDRESS.
# Prints when that was, in milliseconds since 1970. Whoever says so has received one.
use strict;
use warnings;
use Errno qw(ECONNREFUSED);
use Socket qw(AF_INET SOCK_DGRAM inet_pton pack_sockaddr_in);
use Time::HiRes qw(time);

my ($port, $address) = @ARGV;
socket(my $socket, AF_INET, SOCK_DGRAM, 0) or die "socket: $!\n";
my $target = pack_sockaddr_in($port, inet_pton(AF_INET, $address));
my $connected = 0;
while (1) {
    # Without a route there is nothing to connect to yet.
    $connected ||= connect($socket, $target);
    if ($connected && !defined send($socket, 'x', 0) && $! == ECONNREFUSED) {
        printf "%.1f\n", time() * 1000;
        exit 0;
    }
    select undef, undef, undef, 0.002;
}
