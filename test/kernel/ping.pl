# Pings an IPv4 address every 50 ms, all with one identifier, and prints the number of each answer. Debian's perl-base is enough.
use strict;
use warnings;
use Socket qw(AF_INET SOCK_RAW inet_aton pack_sockaddr_in);

$| = 1;
my ($address) = @ARGV;
my $identifier = $$ & 0xffff;

sub checksum {
    my ($bytes) = @_;
    my $sum = unpack '%32n*', $bytes;
    $sum = ($sum & 0xffff) + ($sum >> 16) while $sum >> 16;
    return ~$sum & 0xffff;
}

socket(my $socket, AF_INET, SOCK_RAW, 1) or die "raw socket: $!\n";
my $to = pack_sockaddr_in(0, inet_aton($address));
for (my $sequence = 0;; $sequence++) {
    my $question = pack 'C C n n n', 8, 0, 0, $identifier, $sequence & 0xffff;
    substr($question, 2, 2) = pack 'n', checksum($question);
    send $socket, $question, 0, $to;
    select undef, undef, undef, 0.05;
    while (1) {
        my $ready = '';
        vec($ready, fileno($socket), 1) = 1;
        last unless select $ready, undef, undef, 0;
        last unless defined recv $socket, my $packet, 1500, 0;
        my ($type, undef, undef, $of, $number) = unpack 'C C n n n', substr($packet, 20);
        print "$number\n" if $type == 0 && $of == $identifier;
    }
}
