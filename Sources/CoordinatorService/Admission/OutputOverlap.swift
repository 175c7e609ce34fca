import Identifiers
import JobPlan
import Publication
import SystemPackage

/// Whether an output directory contains an input of its job, or lies in one: what is published could then replace what
/// it was made of.
enum OutputOverlap {
    /// An input: its path, and how a message calls it.
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
            if let factors = task.factors {
                inputs.append((paths.absolute(factors.value), "the factors of task \"\(task.name.rawValue.excerpt)\""))
            }
        }
        return inputs + inventory.files.map { (FilePath($0.path), "an input") }
    }

    /// What forbids to publish in a directory; `nil` when it and the inputs are apart.
    ///
    /// Files are compared, not names: links, and one directory mounted at two places, hide nothing.
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
            // Where a link leads counts, and where the link itself lies: neither may be replaced.
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

    /// A file or directory, whatever leads to it.
    private struct Identity: Hashable {
        let device: UInt64
        let number: UInt64

        init(_ status: FileStatus) { (device, number) = (status.device, status.number) }

        init?(_ path: FilePath) {
            guard let status = FileStatus(of: path, followsLinks: true) else { return nil }
            self.init(status)
        }
    }

    /// A path and all directories above it that exist, where its links lead.
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
