import Foundation
import Glibc
import Identifiers
import Scheduling

/// Makes a damaged journal usable, and reports its faults.
///
/// Nothing is deleted: what is replaced stays beside the journal, under a name that is reported.
struct JournalRepair {
    /// The rows of the new database; `nil` when the existing one is used.
    private(set) var rows: [JournalInspection.StoredRow]?
    private(set) var findings: [JournalFinding] = []
    /// The last row number that was ever used; new rows get greater numbers.
    private(set) var lastRow: Int64
    /// The generation that continues.
    private(set) var generation: String?

    /// Checks a journal, and sets it aside when it must not be used as it is.
    ///
    /// - Throws: ``JobJournalError``.
    init(path: String) throws(JobJournalError) {
        let reading = try JournalWitness.read(besides: path)
        let witness: JournalWitness? = if case .valid(let witness) = reading { witness } else { nil }
        let expected = witness?.lastRow ?? 0
        let found = try Self.inspect(path, expected)
        lastRow = max(found.lastRow, expected)
        generation = found.generation ?? witness?.generation
        if reading == .damaged || reading == .absent && found.generation != nil {
            findings.append(.witnessLost(path: JournalWitness.path(besides: path)))
        }
        let isOfOtherGeneration = witness.map { $0.generation != found.generation } ?? false
        let isAnothers = found.exists && found.damage == nil && isOfOtherGeneration
        if found.isForeign || isAnothers {
            findings.append(.foreign(path: path, aside: Self.setAside(path)))
            (rows, generation) = ([], witness?.generation)
            lastRow = expected
        } else if let damage = found.damage {
            rows = found.rows
            findings.append(
                .damaged(path: path, cause: damage, aside: Self.setAside(path), rowsKept: found.rows.count))
        } else if !found.damagedRows.isEmpty {
            rows = found.rows
            findings.append(.rowsDamaged(path: path, rows: found.damagedRows, aside: Self.setAside(path)))
        } else if found.lastRow < expected {
            rows = found.rows
            findings.append(
                .tailLost(path: path, lastRow: found.lastRow, expected: expected, aside: Self.setAside(path)))
        }
        guard let rows, let witness else { return }
        let known = Set(rows.lazy.filter { $0.kind == "job_accepted" }.map(\.job))
        findings += witness.jobs.filter { !known.contains($0.id) }.map {
            .jobLost(job: $0.id, spec: $0.spec, output: $0.output)
        }
    }

    /// Inspects the file; when it is empty, inspects what its `-wal` file alone proves.
    private static func inspect(_ path: String, _ expected: Int64) throws(JobJournalError) -> JournalInspection {
        let found = try JournalInspection(path: path, expectedLastRow: expected)
        guard !found.exists, found.damage == nil, !found.isForeign, size(of: path) == 0, size(of: "\(path)-wal") > 0
        else { return found }
        // SQLite removes the -wal file of an empty database. So a copy of one page is opened instead.
        let copy = "\(path).salvage"
        defer { for suffix in ["", "-wal", "-shm"] { unlink(copy + suffix) } }
        guard FileManager.default.createFile(atPath: copy, contents: Data(count: 4096)),
            (try? FileManager.default.copyItem(atPath: "\(path)-wal", toPath: "\(copy)-wal")) != nil,
            let salvaged = try? JournalInspection(path: copy, expectedLastRow: expected), salvaged.exists,
            salvaged.damage == nil
        else { return found }
        return salvaged.withDamage("the file is empty, and was read from its -wal file")
    }

    private static func size(of path: String) -> Int {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : 0
    }

    /// Renames a journal and SQLite's files beside it to a free name.
    ///
    /// - Returns: The new name of the database or of its remains; `nil` when there was nothing.
    private static func setAside(_ path: String) -> String? {
        var number = 1
        while ["", "-wal"].contains(where: { access("\(path).damaged-\(number)\($0)", F_OK) == 0 }) { number += 1 }
        let aside = "\(path).damaged-\(number)"
        let moved = ["", "-wal"].filter { rename(path + $0, aside + $0) == 0 }
        unlink("\(path)-shm")
        return moved.first.map { aside + $0 }
    }
}

extension JournalInspection {
    fileprivate func withDamage(_ damage: String) -> JournalInspection {
        var inspection = self
        inspection.note(damage)
        return inspection
    }
}
