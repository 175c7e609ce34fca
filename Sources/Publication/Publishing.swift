import FileAccess
import SystemPackage

/// Moves staged files to their names, and the replaced files to the staging directory.
///
/// Each name has either the old or the new file at every moment. When a step fails, the earlier steps are reverted.
struct Publishing {
    /// The output directory.
    let path: FilePath
    /// The directory of the new files, and afterwards of the old ones.
    let staging: FilePath
    let journal: PublicationJournal
    /// How names are exchanged.
    var way = Rename.Exchange.atomic
    /// Called before each change of a name, for tests that stop in the middle.
    var onStep: (String) throws(PublicationError) -> Void = { (_: String) throws(PublicationError) in }

    private func aside(_ name: String) -> FilePath { staging.appending(".aside-\(name)") }

    /// Does all remaining steps.
    ///
    /// - Parameter isContinued: Whether an earlier attempt may have done some steps; then contents are compared.
    /// - Throws: ``PublicationError``; the names have their old files again.
    func run(isContinued: Bool) throws(PublicationError) {
        do throws(PublicationError) {
            if isContinued, let name = try lost() { throw .vanished(staging: staging.appending(name)) }
            for name in journal.placed {
                Rename.settle(staging.appending(name), aside: aside(name))
                if isContinued, try isPlaced(name) { continue }
                try onStep(name)
                try place(name)
            }
            for name in journal.dropped where Directories.exists(path.appending(name)) {
                try onStep(name)
                try Rename.move(path.appending(name), to: staging.appending(name))
            }
        } catch {
            takeBack()
            throw error
        }
    }

    /// A name whose new files are neither in place nor staged as listed.
    ///
    /// A disk or a person has changed them since. The staged files may then be the replaced ones, and must not be taken
    /// for the new ones.
    func lost() throws(PublicationError) -> String? {
        for name in journal.placed {
            Rename.settle(staging.appending(name), aside: aside(name))
            if try isPlaced(name) { continue }
            if try holds(name, of: journal.manifest, in: staging) { continue }
            return name
        }
        return nil
    }

    /// Whether all new files have their names.
    func isDone() throws(PublicationError) -> Bool {
        for name in journal.placed {
            let isThere = try isPlaced(name)
            guard isThere else { return false }
        }
        return journal.dropped.allSatisfy { !Directories.exists(path.appending($0)) }
    }

    /// Whether all new files are still staged: no name has changed, or all changes were reverted.
    func isWhole() throws(PublicationError) -> Bool {
        for file in journal.manifest.files {
            let place = staging.pushing(FilePath(file.path))
            guard let status = FileStatus(of: place), status.kind == .file, status.byteCount == file.byteCount,
                try FileDigest.text(ofFileAt: place) == file.digest
            else { return false }
        }
        return true
    }

    /// Whether new files have some of their names.
    func hasBegun() throws(PublicationError) -> Bool {
        for name in journal.placed where try isPlaced(name) { return true }
        return false
    }

    /// Gives the old files their names back.
    ///
    /// Names that cannot be reverted are left; all are left when nothing has moved.
    func takeBack() {
        guard (try? isWhole()) != true else { return }
        for name in journal.dropped where !Directories.exists(path.appending(name)) {
            if Directories.exists(staging.appending(name)) {
                try? Rename.move(staging.appending(name), to: path.appending(name))
            }
        }
        for name in journal.placed.reversed() {
            Rename.settle(staging.appending(name), aside: aside(name))
            guard (try? isPlaced(name)) == true else {
                takeBackChanged(name)
                continue
            }
            let (new, old) = (path.appending(name), staging.appending(name))
            if Directories.exists(old) {
                try? Rename.exchange(old, with: new, aside: aside(name), by: way)
            } else {
                try? Rename.move(new, to: old)
            }
        }
    }

    /// Sets aside a changed file under a name, if the file that it replaced is known.
    private func takeBackChanged(_ name: String) {
        let (new, old) = (path.appending(name), staging.appending(name))
        guard Directories.exists(new) else { return }
        let changed = staging.appending(StagingRecord.changedPrefix + name)
        guard let replaced = journal.replaced, replaced.entries.contains(name) || name == OutputManifest.fileName else {
            // The name was free when the publication began, and the staged file has moved.
            if !Directories.exists(old) { try? Rename.move(new, to: changed) }
            return
        }
        guard (try? holds(name, of: replaced, in: staging)) == true else { return }
        guard (try? Rename.exchange(old, with: new, aside: aside(name), by: way)) != nil else { return }
        try? Rename.move(old, to: changed)
    }

    private func place(_ name: String) throws(PublicationError) {
        let (new, target) = (staging.appending(name), path.appending(name))
        guard Directories.exists(new) else { throw .vanished(staging: new) }
        if Directories.exists(target) {
            try Rename.exchange(new, with: target, aside: aside(name), by: way)
        } else {
            try Rename.move(new, to: target)
        }
    }

    /// Whether the files under a name are the new ones.
    private func isPlaced(_ name: String) throws(PublicationError) -> Bool {
        try holds(name, of: journal.manifest, in: path)
    }

    /// Whether a name in a directory has exactly the files that a list gives it.
    private func holds(
        _ name: String, of list: OutputManifest, in directory: FilePath
    ) throws(PublicationError) -> Bool {
        let target = directory.appending(name)
        guard let status = FileStatus(of: target) else { return false }
        if name == OutputManifest.fileName { return (try? OutputManifest(in: directory)) == list }
        let listed = list.files.filter { $0.path == name || $0.path.hasPrefix("\(name)/") }
        let found =
            status.kind == .directory
            ? Directories.entries(below: target).filter { $0.status.kind != .directory }
                .map { ("\(name)/\($0.path)", $0.status) } : [(name, status)]
        guard found.map(\.0).sorted() == listed.map(\.path).sorted() else { return false }
        let expected = Dictionary(listed.map { ($0.path, $0) }) { first, _ in first }
        for (path, status) in found where status.byteCount != expected[path]?.byteCount { return false }
        for (path, _) in found {
            guard try FileDigest.text(ofFileAt: directory.pushing(FilePath(path))) == expected[path]?.digest else {
                return false
            }
        }
        return true
    }

    /// Removes the replaced files: only listed ones, and the control files of jobs.
    ///
    /// - Returns: Files that stay, together with the staging directory: they cannot be removed, or were added in the
    ///   meantime.
    func removeReplaced() -> [FilePath] {
        for file in journal.replaced?.files ?? [] {
            let place = staging.pushing(FilePath(file.path))
            guard let status = FileStatus(of: place), status.kind == .file, status.byteCount == file.byteCount else {
                continue
            }
            try? Directories.remove(place)
        }
        Directories.removeEmpty((journal.replaced?.directories ?? []).map { staging.pushing(FilePath($0)) })
        let left = Directories.entries(below: staging).filter { entry in
            let isOurs = entry.path.hasPrefix(".") && !entry.path.hasPrefix(StagingRecord.changedPrefix)
            return entry.status.kind != .directory && !isOurs
        }
        for name in [OutputManifest.fileName] + StagingRecord.controlFiles {
            try? Directories.remove(staging.appending(name))
        }
        Directories.removeEmpty([staging])
        return left.map { staging.pushing(FilePath($0.path)) }
    }
}
