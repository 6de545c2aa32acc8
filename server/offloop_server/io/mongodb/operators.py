"""Stages and operators that a query may use, by name: everything that only reads and runs no code."""

from __future__ import annotations

from typing import Final

STAGES: Final = frozenset(
    {
        *("$addFields", "$bucket", "$bucketAuto", "$count", "$densify", "$facet", "$fill", "$geoNear", "$graphLookup"),
        *("$group", "$limit", "$lookup", "$match", "$project", "$redact", "$replaceRoot", "$replaceWith", "$sample"),
        *("$set", "$setWindowFields", "$skip", "$sort", "$sortByCount", "$unionWith", "$unset", "$unwind"),
    }
)
"""Absent: $out and $merge write; $collStats, $currentOp, $indexStats, $listSessions and the like show the server."""

_FILTERS: Final = frozenset(
    {
        *("$eq", "$gt", "$gte", "$in", "$lt", "$lte", "$ne", "$nin", "$and", "$not", "$nor", "$or", "$exists", "$type"),
        *("$expr", "$jsonSchema", "$mod", "$regex", "$options", "$all", "$elemMatch", "$size", "$rand", "$sampleRate"),
        *("$text", "$search", "$language", "$caseSensitive", "$diacriticSensitive", "$comment"),
        *("$geoIntersects", "$geoWithin", "$near", "$nearSphere", "$box", "$center", "$centerSphere", "$geometry"),
        *("$maxDistance", "$minDistance", "$polygon"),
        *("$bitsAllClear", "$bitsAllSet", "$bitsAnyClear", "$bitsAnySet"),
    }
)
"""Absent: $where runs JavaScript."""

_EXPRESSIONS: Final = frozenset(
    {
        # Arithmetic.
        *("$abs", "$add", "$bitAnd", "$bitNot", "$bitOr", "$bitXor", "$ceil", "$divide", "$exp", "$floor", "$ln"),
        *("$log", "$log10", "$mod", "$multiply", "$pow", "$round", "$sigmoid", "$sqrt", "$subtract", "$trunc"),
        *("$acos", "$acosh", "$asin", "$asinh", "$atan", "$atan2", "$atanh", "$cos", "$cosh", "$degreesToRadians"),
        *("$radiansToDegrees", "$sin", "$sinh", "$tan", "$tanh"),
        # Arrays, sets and objects.
        *("$arrayElemAt", "$arrayToObject", "$concatArrays", "$filter", "$first", "$firstN", "$in", "$indexOfArray"),
        *("$isArray", "$last", "$lastN", "$map", "$maxN", "$minN", "$objectToArray", "$range", "$reduce"),
        *("$reverseArray", "$size", "$slice", "$sortArray", "$zip"),
        *("$allElementsTrue", "$anyElementTrue", "$setDifference", "$setEquals", "$setIntersection", "$setIsSubset"),
        *("$setUnion", "$getField", "$mergeObjects", "$setField", "$unsetField"),
        # Comparison, conditions and variables.
        *("$cmp", "$cond", "$ifNull", "$switch", "$let", "$literal"),
        # Dates.
        *("$dateAdd", "$dateDiff", "$dateFromParts", "$dateFromString", "$dateSubtract", "$dateToParts"),
        *("$dateToString", "$dateTrunc", "$dayOfMonth", "$dayOfWeek", "$dayOfYear", "$hour", "$isoDayOfWeek"),
        *("$isoWeek", "$isoWeekYear", "$millisecond", "$minute", "$month", "$second", "$week", "$year"),
        *("$tsIncrement", "$tsSecond"),
        # Texts.
        *("$concat", "$indexOfBytes", "$indexOfCP", "$ltrim", "$regexFind", "$regexFindAll", "$regexMatch"),
        *("$replaceAll", "$replaceOne", "$rtrim", "$split", "$strLenBytes", "$strLenCP", "$strcasecmp", "$substr"),
        *("$substrBytes", "$substrCP", "$toLower", "$toUpper", "$trim"),
        # Types and sizes.
        *("$binarySize", "$bsonSize", "$convert", "$isNumber", "$toBool", "$toDate", "$toDecimal", "$toDouble"),
        *("$toHashedIndexKey", "$toInt", "$toLong", "$toObjectId", "$toString", "$toUUID", "$type", "$meta"),
        # Accumulators and windows.
        *("$addToSet", "$avg", "$bottom", "$bottomN", "$count", "$covariancePop", "$covarianceSamp", "$denseRank"),
        *("$derivative", "$documentNumber", "$expMovingAvg", "$integral", "$linearFill", "$locf", "$max", "$median"),
        *("$min", "$percentile", "$push", "$rank", "$shift", "$stdDevPop", "$stdDevSamp", "$sum", "$top", "$topN"),
    }
)
"""Absent: $function and $accumulator run JavaScript."""

_REFERENCES: Final = frozenset({"$ref", "$id", "$db"})
"""Parts of a reference to a document, which is a value."""

OPERATORS: Final = _FILTERS | _EXPRESSIONS | _REFERENCES
"""Names that may stand anywhere in a query but as a stage."""
