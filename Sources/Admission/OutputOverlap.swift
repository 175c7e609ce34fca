import FileAccess
import Identifiers
import JobPlan
import Publication
import SystemPackage
import UnitOperations

/// Checks whether an output directory contains an input of its job, or lies in one.
///
/// Otherwise the publication could replace what the outputs were made of.
enum OutputOverlap {
    /// An input: its path, and its name in messages.
    typealias Input = (path: FilePath, name: String)

    /// Every path that a job reads.
    static func inputs(
        of spec: JobSpec, at specPath: String, _ paths: JobPaths, _ inventory: JobInventory
    ) -> [Input] {
        var inputs: [Input] = [
            (FilePath(specPath), "the job file"), (paths.absolute(spec.baseModel.value), "the base"),
        ]
        for task in spec.tasks {
            if let model = task.model {
                inputs.append((paths.absolute(model.value), "the model of task \"\(task.name.rawValue.excerpt)\""))
            }
            for factors in task.factors where RunName(reference: factors.value) == nil {
                inputs.append((paths.absolute(factors.value), "the factors of task \"\(task.name.rawValue.excerpt)\""))
            }
        }
        return inputs + inventory.files.map { (FilePath($0.path), "an input") }
    }

    /// The reason why a directory cannot be the output; `nil` when the directory and the inputs are separate.
    ///
    /// Files are compared, not names. So links, and directories that are mounted twice, are recognised.
    static func problem(of output: FilePath, inputs: [Input]) -> String? {
        let outer = identities(above: output)
        let own = Identity(output)
        var seen: Set<FilePath> = []
        for input in inputs {
            let isDirectory = FileStatus(of: input.path, followsLinks: true)?.kind == .directory
            if isDirectory, let identity = Identity(input.path), outer.contains(identity) {
                return "the output directory \(output) lies in \(input.name), \(input.path). Choose one outside of it."
            }
            guard let own else { continue }
            // Both the link and its target are checked, because neither may be replaced.
            for place in [JobPaths.resolved(input.path), input.path] {
                let directory = isDirectory ? place : place.removingLastComponent()
                guard seen.insert(directory).inserted, identities(above: directory).contains(own) else { continue }
                return
                    "the output directory \(output) contains \(input.name), \(input.path). Choose another directory, "
                    + "such as one below it."
            }
        }
        return nil
    }

    /// The identity of a file or directory, whatever path leads to it.
    private struct Identity: Hashable {
        let device: UInt64
        let number: UInt64

        init(_ status: FileStatus) { (device, number) = (status.device, status.number) }

        init?(_ path: FilePath) {
            guard let status = FileStatus(of: path, followsLinks: true) else { return nil }
            self.init(status)
        }
    }

    /// The identities of a path and of all existing directories above it, with links resolved.
    private static func identities(above path: FilePath) -> Set<Identity> {
        var existing = path
        while FileStatus(of: existing, followsLinks: true) == nil, existing.lastComponent != nil {
            existing.removeLastComponent()
        }
        var place = JobPaths.resolved(existing)
        var found: Set<Identity> = []
        while true {
            if let identity = Identity(place) { found.insert(identity) }
            guard place.lastComponent != nil else { return found }
            place.removeLastComponent()
        }
    }
}
