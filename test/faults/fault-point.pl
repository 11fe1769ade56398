# Stands on the PATH in the place of a program that writes to the kernel. The file FAULT_FILE says what is wrong with it at present:
#   fail N      the next N writes end as if somebody had killed the program
#   hang S      the next write takes S seconds longer
use strict;
use warnings;
use Fcntl qw(:flock :seek);
use File::Basename qw(basename);

my $name = basename($0);
$ENV{PATH} = $ENV{FAULT_REAL_PATH};
# Without programs that stay every write comes by here.
exit 1 if $name eq 'stdbuf' && "@ARGV" =~ /restore/;
exec $name, @ARGV if $name eq 'stdbuf' || ($name !~ /restore$/ && "@ARGV" !~ /\brestore$/);
my ($fault, $amount) = turn();
exit 137 if $fault eq 'fail';
select undef, undef, undef, $amount if $fault eq 'hang';
exec $name, @ARGV;

sub turn {
    open(my $file, '+<', $ENV{FAULT_FILE}) or return ('none', 0);
    flock($file, LOCK_EX) or die "flock: $!";
    my ($fault, $amount) = (<$file> // '') =~ /^(\w+) ([\d.]+)/ or return ('none', 0);
    return ('none', 0) if $amount <= 0;
    seek $file, 0, SEEK_SET;
    truncate $file, 0;
    print $file $fault eq 'fail' ? 'fail ' . ($amount - 1) : '';
    close $file;
    return ($fault, $amount);
}
