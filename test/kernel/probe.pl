# Asks every target at the same time, each from its own network namespace: a socket stays in the namespace that it was
# made in, so one process is enough. perl probe.pl TIMEOUT-MS SETNS-NUMBER, then on standard input lines of
# "ID NAMESPACE TCP|UDP ADDRESS PORT"; prints "ID DETAIL HEX-OF-BODY" for each. Debian's perl-base is enough.
use strict;
use warnings;
use Errno qw(EINPROGRESS EAGAIN EWOULDBLOCK ECONNREFUSED);
use Fcntl qw(F_GETFL F_SETFL O_NONBLOCK);
use Socket qw(AF_INET AF_INET6 SOCK_STREAM SOCK_DGRAM SOL_SOCKET SO_ERROR inet_pton pack_sockaddr_in pack_sockaddr_in6);

my ($timeout_ms, $setns) = @ARGV;
my $clone_newnet = 0x40000000;
my $question = "GET /json HTTP/1.0\r\nhost: probe\r\n\r\n";
# A datagram may be lost on the way to a neighbour that is not resolved yet: it is sent again.
my @datagrams_at_ms = (0, 150, 500);

my %pending;
my $present = '';
for my $line (sort { (split ' ', $a)[1] cmp (split ' ', $b)[1] } <STDIN>) {
    my ($id, $namespace, $protocol, $address, $port) = split ' ', $line;
    enter($namespace);
    open_flow($id, $protocol, $address, $port);
}

my $started = now_ms();
while (%pending) {
    my $elapsed = now_ms() - $started;
    last if $elapsed >= $timeout_ms;
    for my $flow (grep { $_->{protocol} eq 'UDP' } values %pending) {
        next unless @{ $flow->{sends} } && $elapsed >= $flow->{sends}[0];
        shift @{ $flow->{sends} };
        defined send($flow->{socket}, 'who are you?', 0) or finish($flow, reason($! + 0));
    }
    my ($readable, $writable) = ('', '');
    for my $flow (values %pending) {
        vec($flow->{connected} ? $readable : $writable, fileno($flow->{socket}), 1) = 1;
    }
    next if select($readable, $writable, undef, 0.02) <= 0;
    for my $flow (values %pending) {
        my $number = fileno($flow->{socket});
        connected($flow) if vec($writable, $number, 1);
        receive($flow) if vec($readable, $number, 1);
    }
}
finish($_, $_->{connected} && $_->{protocol} eq 'TCP' ? 'no-answer' : 'timeout') for values %pending;

sub enter {
    my ($namespace) = @_;
    return if $namespace eq $present;
    open my $file, '<', "/run/netns/$namespace" or die "no namespace $namespace: $!\n";
    syscall($setns, fileno($file), $clone_newnet) == 0 or die "setns $namespace: $!\n";
    $present = $namespace;
}

sub open_flow {
    my ($id, $protocol, $address, $port) = @_;
    my $is_v6 = $address =~ /:/;
    my $family = $is_v6 ? AF_INET6 : AF_INET;
    my $host = inet_pton($family, $address) or die "not an address: $address\n";
    my $to = $is_v6 ? pack_sockaddr_in6($port, $host) : pack_sockaddr_in($port, $host);
    socket(my $socket, $family, $protocol eq 'UDP' ? SOCK_DGRAM : SOCK_STREAM, 0) or die "socket: $!\n";
    fcntl($socket, F_SETFL, fcntl($socket, F_GETFL, 0) | O_NONBLOCK) or die "fcntl: $!\n";
    my $flow = { id => $id, protocol => $protocol, socket => $socket, body => '', sends => [@datagrams_at_ms] };
    $pending{$id} = $flow;
    if (connect($socket, $to)) { $flow->{connected} = 1; connected($flow) if $protocol eq 'TCP' }
    elsif ($! != EINPROGRESS) { finish($flow, reason($! + 0)) }
}

sub connected {
    my ($flow) = @_;
    my $error = unpack 'i', getsockopt($flow->{socket}, SOL_SOCKET, SO_ERROR);
    return finish($flow, reason($error)) if $error;
    $flow->{connected} = 1;
    syswrite $flow->{socket}, $question;
}

sub receive {
    my ($flow) = @_;
    my $count = sysread $flow->{socket}, $flow->{body}, 65536, length $flow->{body};
    if (!defined $count) { finish($flow, reason($! + 0)) if $! != EAGAIN && $! != EWOULDBLOCK }
    elsif ($flow->{protocol} eq 'UDP' || $count == 0) { finish($flow, 'answered') }
}

sub finish {
    my ($flow, $detail) = @_;
    delete $pending{ $flow->{id} };
    close $flow->{socket};
    (my $body = $flow->{body}) =~ s/^.*?\r\n\r\n//s;
    $detail = 'closed' if $detail eq 'answered' && $body eq '';
    printf "%d %s %s\n", $flow->{id}, $detail, $detail eq 'answered' ? unpack('H*', $body) : '';
}

# The name of an error, as C knows it.
sub reason {
    my ($number) = @_;
    return 'refused' if $number == ECONNREFUSED;
    local $! = $number;
    return (grep { $!{$_} } keys %!)[0] // "errno-$number";
}

# perl-base has no finer clock.
sub now_ms {
    open my $file, '<', '/proc/uptime' or die "/proc/uptime: $!\n";
    return 1000 * (split ' ', <$file>)[0];
}
