// Imported for the linker: the static executable finds what FoundationEssentials needs only where the flag is set.
import FoundationEssentials
import Glibc
import SluiceGateway

exit(GatewayCommand.main(Array(CommandLine.arguments.dropFirst())))
