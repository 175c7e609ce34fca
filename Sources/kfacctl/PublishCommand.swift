import ArgumentParser
import Console
import FileAccess
import Publication
import SystemPackage

/// `kfacctl publish`.
struct PublishCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "publish",
        abstract: "Publishes what a job computed and could not publish, without computing anything again.")

    @Argument(
        help: "The directory that keeps the files, as the failure of the job named it; its output directory is above.",
        completion: .directory)
    var directory: String

    @Flag(help: "Replace the files of an earlier job in the output directory.")
    var overwrite = false

    @Flag(name: .shortAndLong, help: "Print nothing.")
    var quiet = false

    func run() throws {
        do {
            let kept = try KeptPublication(at: try WorkingDirectory.absolute(FilePath(directory)))
            let left = try kept.finish(overwrites: overwrite)
            guard !quiet else { return }
            for file in left.prefix(5) { Terminal.note("\(file): is of no job, and stays.") }
            Terminal.print("outputs: \(kept.path)")
        } catch let error as PublicationError {
            throw CommandFailure(.failed, error.description)
        } catch let error as FileRootsError {
            throw CommandFailure(.failed, "\(error)")
        }
    }
}
