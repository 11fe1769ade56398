# Stands on the PATH in the place of a program that writes to the kernel: once armed it counts the writes, and kills the agent
# that asked for the one of its turn. KILL_DIRECTORY holds `armed` (the turn), `count` and `lock`; KILL_WAY says when:
#   before  the program never runs
#   after   it runs, but the agent does not live to hear of it
#   late    the agent dies at once, and the program runs while the next agent starts
# In the place of stdbuf it stands between the agent and a program that stays: each transaction that passes is a write.
use strict;
use warnings;
use Fcntl qw(:flock);
use File::Basename qw(basename);
use IPC::Open2;
use IO::Select;

my ($directory, $way) = @ENV{qw(KILL_DIRECTORY KILL_WAY)};
my $name = basename($0);
my $agent = getppid();
$ENV{PATH} = $ENV{KILL_REAL_PATH};

if ($name eq 'stdbuf') {
    exec $name, @ARGV if "@ARGV" !~ /restore/;
    exit 1 if $way ne 'standing';
    stand_between();
    exit 0;
}
exec $name, @ARGV if $name !~ /restore$/ && "@ARGV" !~ /\brestore$/;
my $text = do { local $/; <STDIN> };
# The preflight's trials, and what only reads.
my $is_turn = $text !~ /cali-preflight|^save /m && is_turn();
if ($is_turn && $way ne 'after') {
    kill 'KILL', $agent;
    exit 1 if $way ne 'late';
    select undef, undef, undef, 0.3;
}
my $status = run_it();
kill 'KILL', $agent if $is_turn && $way eq 'after';
exit $status;

sub is_turn {
    return 0 if !-e "$directory/armed";
    open(my $lock, '>', "$directory/lock") or die "lock: $!";
    flock($lock, LOCK_EX) or die "flock: $!";
    my ($count, $turn) = (content("$directory/count") + 1, content("$directory/armed"));
    open(my $file, '>', "$directory/count") or die "count: $!";
    print $file $count;
    close $file;
    return $count == $turn;
}

sub content {
    my ($path) = @_;
    open(my $file, '<', $path) or return 0;
    my $line = <$file> // 0;
    return $line + 0;
}

sub run_it {
    open(my $program, '|-', $name, @ARGV) or die "$name: $!";
    print $program $text;
    close $program;
    return $? >> 8;
}

sub stand_between {
    my $pid = open2(my $from, my $to, $name, @ARGV);
    my ($select, $kill_after) = (IO::Select->new(\*STDIN, $from), 0);
    while (1) {
        for my $ready ($select->can_read) {
            my $is_agent = fileno($ready) == fileno(STDIN);
            my $size = sysread $ready, my $piece, 1 << 20;
            if (!$size) { kill 'KILL', $pid; return }
            # A transaction ends with COMMIT, one of ipset with a question about one set; the look at all sets writes nothing.
            my $is_write = $piece =~ /^COMMIT/m || ($piece =~ /^list -t \S/m && $piece !~ /^list -t$/m);
            my $is_own = $is_agent && $is_write && $piece !~ /cali-preflight/ && is_turn();
            if ($is_own) { kill 'KILL', $agent; kill 'KILL', $pid; return }
            syswrite $is_agent ? $to : \*STDOUT, $piece;
        }
    }
}
