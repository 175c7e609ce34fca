extension Double {
    /// A measured number as files store it: four decimals, or four digits when it is below 0.1.
    ///
    /// The last bits are noise. They would change the file on every machine.
    var roundedForFile: Double {
        guard isFinite, abs(self) < 1e11, abs(self) > 1e-15 else { return self }
        // Powers of ten up to 22 are exact, so the division gives the double nearest to the decimal.
        var scale = 1e4
        while abs(self) * scale < 1e3 { scale *= 10 }
        return (self * scale).rounded() / scale
    }
}

extension StudyRow {
    var roundedForFile: StudyRow {
        var row = self
        row.alpha = alpha.map(\.roundedForFile)
        row.beta = beta.map(\.roundedForFile)
        row.accuracy = accuracy.roundedForFile
        row.normalizedAccuracy = normalizedAccuracy.map(\.roundedForFile)
        row.ownCeiling = ownCeiling.map(\.roundedForFile)
        row.control = control.map(\.roundedForFile)
        row.perTask = perTask.mapValues(\.roundedForFile)
        row.seconds = seconds.map(\.roundedForFile)
        return row
    }
}

extension StudyFigures {
    var roundedForFile: StudyFigures {
        StudyFigures(
            tasks: tasks,
            disentanglement: disentanglement.map { map in
                var rounded = map
                rounded.alphas = map.alphas.map(\.roundedForFile)
                rounded.errors = map.errors.map { $0.map(\.roundedForFile) }
                return rounded
            },
            interference: interference.map(\.roundedForFile),
            localisation: localisation.map(\.roundedForFile),
            penaltyCost: penaltyCost.map { cost in
                PenaltyCost(
                    taskCount: cost.taskCount,
                    accumulatedMicroseconds: cost.accumulatedMicroseconds.roundedForFile,
                    optimalMicroseconds: cost.optimalMicroseconds.map(\.roundedForFile),
                    perTaskMicroseconds: cost.perTaskMicroseconds.roundedForFile
                )
            },
            storage: storage?.map { storage in
                PenaltyStorage(
                    method: storage.method, elementCount: storage.elementCount,
                    relative: storage.relative.roundedForFile, largeRelative: storage.largeRelative.roundedForFile)
            },
            leaks: leaks?.map { leak in
                var rounded = leak
                rounded.nearest = leak.nearest.roundedForFile
                rounded.largest = leak.largest.roundedForFile
                rounded.fitted = leak.fitted.roundedForFile
                rounded.membership = leak.membership.roundedForFile
                return rounded
            }
        )
    }
}

extension LeakFigure.Comparison {
    fileprivate var roundedForFile: Self {
        Self(captured: captured.roundedForFile, heldOut: heldOut.roundedForFile)
    }
}

extension InterferenceMatrix {
    fileprivate var roundedForFile: InterferenceMatrix {
        InterferenceMatrix(
            method: method,
            seed: seed,
            values: values.map { $0.map(\.roundedForFile) }
        )
    }
}
