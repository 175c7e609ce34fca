import FileAccess
import Safetensors
import SystemPackage

/// Moves staged files to their names and what they replace to the staging directory.
///
/// At every moment either the old or the new file stands under a name. A step that fails takes the earlier ones back.
struct Publishing {
    /// The output directory.
    let path: FilePath
    /// Where the new files lie, and afterwards the old ones.
    let staging: FilePath
    let journal: PublicationJournal
    /// How names are exchanged.
    var way = Rename.Exchange.atomic
    /// Called before each change of a name, for tests that end in the middle.
    var onStep: (String) throws(PublicationError) -> Void = { (_: String) throws(PublicationError) in }

    private func aside(_ name: String) -> FilePath { staging.appending(".aside-\(name)") }

    /// Does every step that is not done yet.
    ///
    /// - Parameter isContinued: Whether an earlier attempt may have done some: then content is compared.
    /// - Throws: ``PublicationError``; what stood under the names stands there again.
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

    /// A name for which the new files neither stand there nor are staged, as they were listed.
    ///
    /// A disk, or somebody, has changed them since. What is staged may then be what they replaced, which must not be
    /// taken for them.
    func lost() throws(PublicationError) -> String? {
        for name in journal.placed {
            Rename.settle(staging.appending(name), aside: aside(name))
            if try isPlaced(name) { continue }
            if try holds(name, of: journal.manifest, in: staging) { continue }
            return name
        }
        return nil
    }

    /// Whether all new files stand under their names.
    func isDone() throws(PublicationError) -> Bool {
        for name in journal.placed {
            let isThere = try isPlaced(name)
            guard isThere else { return false }
        }
        return journal.dropped.allSatisfy { !Directories.exists(path.appending($0)) }
    }

    /// Whether all new files are still staged: no name has changed, or all were given back.
    func isWhole() throws(PublicationError) -> Bool {
        for file in journal.manifest.files {
            let place = staging.pushing(FilePath(file.path))
            guard let status = FileStatus(of: place), status.kind == .file, status.byteCount == file.byteCount,
                try FileDigest.text(ofFileAt: place) == file.digest
            else { return false }
        }
        return true
    }

    /// Whether new files stand under some of their names.
    func hasBegun() throws(PublicationError) -> Bool {
        for name in journal.placed where try isPlaced(name) { return true }
        return false
    }

    /// Gives the names back to what stood there; what cannot be is left, and so is all when nothing has moved.
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

    /// Sets aside what stands under a name and is not as the job wrote it, when what it has replaced is known.
    private func takeBackChanged(_ name: String) {
        let (new, old) = (path.appending(name), staging.appending(name))
        guard Directories.exists(new) else { return }
        let changed = staging.appending(StagingRecord.changedPrefix + name)
        guard let replaced = journal.replaced, replaced.entries.contains(name) || name == OutputManifest.fileName else {
            // Nothing stood there when the publication began, and what was staged has left its place.
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

    /// Whether what stands under a name is what is to stand there.
    private func isPlaced(_ name: String) throws(PublicationError) -> Bool {
        try holds(name, of: journal.manifest, in: path)
    }

    /// Whether a name in a directory stands for what a list has under it: these files, all of them and no others.
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

    /// Removes what the new files have replaced: only what is listed, and what jobs keep for themselves.
    ///
    /// - Returns: Files that stay, and the staging directory with them: they cannot be removed, or somebody put them
    ///   there meanwhile.
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
