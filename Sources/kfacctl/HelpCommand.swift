import ArgumentParser
import Console
import NameMatching
import TaskArithmetic

/// `kfacctl help`: the parser's help for commands, and the registry's for merge methods.
struct HelpCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "help",
        abstract: "Explains a command, or with \"merge\" the merge methods.",
        discussion: "\"help merge\" lists the merge methods, \"help merge METHOD\" explains one with its parameters.")

    @Argument(help: ArgumentHelp("A command, or \"merge\" and optionally a merge method.", valueName: "topic"))
    var topics: [String] = []

    func run() throws {
        guard let topic = topics.first else { throw CleanExit.helpRequest(Kfacctl.self) }
        guard topic != Self.merges else {
            guard topics.count > 1 else { return Terminal.print(MergeHelp.table) }
            return Terminal.print(MergeHelp.page(of: try method(named: topics[1])))
        }
        throw CleanExit.helpRequest(try Self.command(named: topic, orOneOf: [Self.merges]))
    }

    /// The command of a name.
    ///
    /// - Parameters:
    ///   - name: The name, as typed.
    ///   - others: Further names that are suggested when the name is misspelt.
    /// - Returns: The command.
    /// - Throws: ``CommandFailure`` with the nearest name when there is no such command.
    @discardableResult
    static func command(named name: String, orOneOf others: [String] = []) throws -> any ParsableCommand.Type {
        let commands = Kfacctl.configuration.subcommands
        if let command = commands.first(where: { $0.configuration.commandName == name }) { return command }
        let known = commands.compactMap { $0.configuration.commandName } + others
        throw CommandFailure(
            .badInput,
            "there is no command \"\(name)\".\(suggestion(for: name, among: known)) \"kfacctl help\" lists them.")
    }

    /// The topic that is not a command.
    private static let merges = "merge"

    private func method(named name: String) throws -> MergeMethod {
        if let method = MergeMethod(named: name) { return method }
        let names = MergeMethod.all.map(\.name)
        throw CommandFailure(
            .badInput,
            "there is no merge method \"\(name)\".\(suggestion(for: name, among: names)) Methods: "
                + "\(names.joined(separator: ", ")).")
    }
}
