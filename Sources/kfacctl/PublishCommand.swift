import ArgumentParser
import Console
import FileAccess
import Publication
import SystemPackage

/// `kfacctl publish`.
struct PublishCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "publish",
        abstract: "Publishes the files of a job whose publication failed, without computing them again.")

    @Argument(
        help: "The directory with the kept files, which the job's failure names. Its parent is the output directory.",
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
            for file in left.prefix(5) { Terminal.note("\(file): belongs to no job, so it stays.") }
            Terminal.print("outputs: \(kept.path)")
        } catch let error as PublicationError {
            throw CommandFailure(.failed, error.description)
        } catch let error as FileRootsError {
            throw CommandFailure(.failed, "\(error)")
        }
    }
}
